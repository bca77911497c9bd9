"""Spin-echo protocols and how bright each tissue is in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bundle.phantom.tissues import DARK, PROPERTIES, TISSUES, Tissue

_DARK_AT_MOST = 0.08  # brightness of the DARK tissues when all others are drawn at random
#: Echo trains make fat bright: they undo the J-coupling that shortens its T2 (Henkelman et al., J Magn Reson Imaging
#: 1994;4:533). Slope and limit are set by look, against fat beside CSF in SPIDER's T2 images (echo trains of 17 to 25).
_FAT_T2_PER_ECHO, _FAT_T2_AT_MOST_MS = 0.13, 170.0


@dataclass(frozen=True)
class Sequence:
    """A spin-echo protocol.

    Args:
        name: what it is called: T2, T1, STIR, T2FS, PD, MYELO.
        tr_ms: repetition time.
        te_ms: (effective) echo time.
        ti_ms: inversion time; 0 for none.
        fat_fraction: how much of the fat signal is left by fat suppression, 1 for no suppression.
        field_t: field strength in tesla.
        echo_train: echoes an excitation; 1 for a plain spin echo, more for a turbo (fast) spin echo, in which fat is bright.
    """

    name: str
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    fat_fraction: float = 1.0
    field_t: float = 1.5
    echo_train: int = 16


def sample_sequence(rng: np.random.Generator, name: str) -> Sequence:
    """A protocol as used in practice for ``name``: T2, T1, STIR, T2FS, PD, or MYELO (only fluid is bright).

    TR, TE and echo trains of T2 and T1 span those in the headers of SPIDER (1.5 and 3 T, van der Graaf et al., Sci Data
    2024;11:264) and of a 0.3 T study; the others are textbook values.
    """
    field = float(rng.choice([0.3, 1.0, 1.5, 3.0], p=[0.1, 0.1, 0.5, 0.3]))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    if name == "T2":
        return Sequence(name, between(2500, 5600), between(80, 125), field_t=field, echo_train=int(rng.integers(12, 30)))
    if name == "T1":
        return Sequence(name, between(420, 760), between(7, 20), field_t=field, echo_train=int(rng.integers(1, 8)))
    if name == "STIR":
        tr = between(2800, 6000)
        ti = float(_null_ms(field, tr) + rng.normal(0, 8))
        return Sequence(name, tr, between(30, 85), ti, 1.0, field, int(rng.integers(8, 20)))
    if name == "T2FS":
        left = between(0.04, 0.25)
        return Sequence(name, between(2500, 5000), between(55, 100), 0.0, left, field, int(rng.integers(8, 20)))
    if name == "PD":
        return Sequence(name, between(1800, 3500), between(12, 40), field_t=field, echo_train=int(rng.integers(4, 10)))
    if name == "MYELO":
        left = between(0.05, 0.2)
        return Sequence(name, between(4000, 8000), between(520, 1100), 0.0, left, field, int(rng.integers(100, 256)))
    raise ValueError(f"no spin-echo protocol is known by the name {name!r}: choose T2, T1, STIR, T2FS, PD or MYELO")


def _null_ms(field_t: float, tr_ms: float) -> float:
    """Inversion time at which fat has no signal."""
    t1 = _t1_ms(PROPERTIES[TISSUES.index("fat")], field_t)
    return t1 * float(np.log(2 / (1 + np.exp(-tr_ms / t1))))


def _t1_ms(tissue: Tissue, field_t: float) -> float:
    return tissue.t1_ms * (field_t / 1.5) ** tissue.field_exponent


def _magnetisation(sequence: Sequence, t1_ms: float) -> float:
    """Longitudinal magnetisation before the excitation, with its sign."""
    recovered = 1 - np.exp(-sequence.tr_ms / t1_ms)
    if sequence.ti_ms <= 0:
        return float(recovered)
    return float(recovered - 2 * np.exp(-sequence.ti_ms / t1_ms) + 2 * np.exp(-sequence.tr_ms / t1_ms))


def spin_echo_signal(sequence: Sequence) -> Tensor:
    """(len(TISSUES),) magnitude of the spin-echo signal of each tissue; the brightest has 1.

    Water gives PD * (1 - exp(-TR/T1)) * exp(-TE/T2), with inversion PD * (1 - 2 exp(-TI/T1) + exp(-TR/T1)) * exp(-TE/T2); a
    tissue's fat adds to its water with its own sign and relaxation.
    """
    fat = PROPERTIES[TISSUES.index("fat")]
    fat_t2 = min(fat.t2_ms * (1 + _FAT_T2_PER_ECHO * (sequence.echo_train - 1)), _FAT_T2_AT_MOST_MS)
    of_fat = (
        _magnetisation(sequence, _t1_ms(fat, sequence.field_t)) * np.exp(-sequence.te_ms / fat_t2) * sequence.fat_fraction
    )
    signal = np.zeros(len(TISSUES))
    for index, tissue in enumerate(PROPERTIES):
        of_water = _magnetisation(sequence, _t1_ms(tissue, sequence.field_t)) * np.exp(-sequence.te_ms / tissue.t2_ms)
        signal[index] = tissue.density * abs((1 - tissue.fat) * of_water + tissue.fat * of_fat)
    return torch.from_numpy(signal / signal.max()).float()


def tissue_spread(rng: np.random.Generator, spread: float) -> Tensor:
    """(len(TISSUES),) factors by which one patient's tissues are brighter or darker than the tables say.

    Args:
        rng: source of chance.
        spread: standard deviation of the factor's logarithm.
    """
    return torch.from_numpy(np.exp(rng.normal(0, spread, len(TISSUES)))).float()


def sample_contrast(
    rng: np.random.Generator, name: str, spread: float = 0.2, randomised: float = 0.0, patient: Tensor | None = None
) -> Tensor:
    """(len(TISSUES),) brightness of each tissue.

    Args:
        rng: source of chance.
        name: protocol, as in sample_sequence.
        spread: standard deviation of the logarithm of each tissue's brightness, for what the tables do not know.
        randomised: chance of drawing every tissue's brightness at random instead (domain randomisation as in SynthSeg,
            Billot et al., Med Image Anal 2023;86:102789); 1 leaves the physics out. Air, cortex, gas and metal stay dark.
        patient: the patient's own factors from tissue_spread, common to all series of a study; they do not touch random
            brightness.
    """
    if rng.random() < randomised:
        signal = torch.from_numpy(rng.uniform(0.05, 1.0, len(TISSUES))).float()
        for dark in DARK:
            signal[TISSUES.index(dark)] = float(rng.uniform(0, _DARK_AT_MOST))
        return signal
    signal = spin_echo_signal(sample_sequence(rng, name)) * tissue_spread(rng, spread)
    # Blood is mostly dark, but in some images (low field, slow flow) the great vessels show as grey.
    vessel, slow = TISSUES.index("vessel"), TISSUES.index("slow_flow")
    signal[vessel] += float(rng.uniform() ** 3) * (signal[slow] - signal[vessel])
    return signal if patient is None else signal * patient
