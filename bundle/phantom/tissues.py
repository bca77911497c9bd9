"""Tissues of the phantom and the brightness each has in a spin-echo image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: (T1 ms, T2 ms, proton density) at 1.5 T: typical values, rounded; for measured ones see Stanisz et al., Magn Reson Med
#: 2005;54:507 and de Bazelaire et al., Radiology 2004;230:652. Bone, ligament and flowing blood are set by their look, since
#: they have next to no signal.
_RELAXATION: dict[str, tuple[float, float, float]] = {
    "air": (1000.0, 10.0, 0.0),
    "fat": (290.0, 85.0, 0.95),
    "muscle": (1000.0, 44.0, 0.85),
    "marrow": (550.0, 55.0, 0.80),
    "cortex": (700.0, 12.0, 0.10),
    "nucleus": (1300.0, 130.0, 0.95),
    "annulus": (1000.0, 35.0, 0.55),
    "csf": (3800.0, 1200.0, 1.0),
    "nerve": (1000.0, 75.0, 0.85),
    "ligament": (900.0, 20.0, 0.35),
    "vessel": (1500.0, 20.0, 0.15),
    "organ": (800.0, 55.0, 0.85),
    "fluid": (2500.0, 400.0, 0.95),
    "gas": (1000.0, 10.0, 0.02),
}
TISSUES: tuple[str, ...] = tuple(_RELAXATION)


@dataclass(frozen=True)
class Sequence:
    """A spin-echo protocol.

    Args:
        tr_ms: repetition time.
        te_ms: (effective) echo time.
        ti_ms: inversion time; 0 for none.
        fat_fraction: how much of the fat signal is left by fat suppression, 1 for no suppression.
        field_t: field strength in tesla; T1 grows with it as B0^0.3 (Bottomley et al., Med Phys 1984;11:425).
    """

    name: str
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    fat_fraction: float = 1.0
    field_t: float = 1.5


def sample_sequence(rng: np.random.Generator, name: str) -> Sequence:
    """A protocol as used in practice for ``name``: T2, T1, STIR, T2FS or PD."""
    field = float(rng.choice([0.3, 1.0, 1.5, 3.0], p=[0.1, 0.1, 0.5, 0.3]))
    if name == "T2":
        return Sequence(name, rng.uniform(2500, 5500), rng.uniform(80, 130), field_t=field)
    if name == "T1":
        return Sequence(name, rng.uniform(400, 800), rng.uniform(8, 25), field_t=field)
    if name == "STIR":
        ti = 160 * (field / 1.5) ** 0.3
        return Sequence(name, rng.uniform(3000, 6000), rng.uniform(30, 80), ti_ms=rng.normal(ti, 8), field_t=field)
    if name == "T2FS":
        return Sequence(name, rng.uniform(2500, 5000), rng.uniform(60, 100), 0.0, rng.uniform(0.05, 0.25), field)
    if name == "PD":
        return Sequence(name, rng.uniform(1800, 3500), rng.uniform(12, 40), field_t=field)
    raise ValueError(f"no spin-echo protocol is known by the name {name!r}: choose T2, T1, STIR, T2FS or PD")


def spin_echo_signal(sequence: Sequence) -> Tensor:
    """(len(TISSUES),) magnitude of the spin-echo signal, PD * |1 - 2 exp(-TI/T1) + exp(-TR/T1)| * exp(-TE/T2)."""
    table = torch.tensor([_RELAXATION[t] for t in TISSUES], dtype=torch.float64)
    t1 = table[:, 0] * (sequence.field_t / 1.5) ** 0.3
    recovery = 1 - torch.exp(-sequence.tr_ms / t1)
    if sequence.ti_ms > 0:
        recovery = recovery - 2 * torch.exp(-sequence.ti_ms / t1) + 2 * torch.exp(-sequence.tr_ms / t1)
    signal = table[:, 2] * recovery.abs() * torch.exp(-sequence.te_ms / table[:, 1])
    signal[TISSUES.index("fat")] *= sequence.fat_fraction
    # Half of adult marrow is fat, so its signal follows fat suppression half the way.
    signal[TISSUES.index("marrow")] *= (1 + sequence.fat_fraction) / 2
    return (signal / signal.max()).float()


def sample_contrast(rng: np.random.Generator, name: str, spread: float = 0.2, randomised: float = 0.0) -> Tensor:
    """(len(TISSUES),) brightness of each tissue.

    Args:
        rng: source of chance.
        name: protocol, as in sample_sequence.
        spread: standard deviation of the logarithm of each tissue's brightness, for what the tables do not know.
        randomised: chance of drawing every tissue's brightness at random instead (domain randomisation as in SynthSeg,
            Billot et al., Med Image Anal 2023;86:102789); air, cortex and gas stay dark.
    """
    if rng.random() < randomised:
        signal = torch.from_numpy(rng.uniform(0.05, 1.0, len(TISSUES))).float()
        for dark in ("air", "gas", "cortex"):
            signal[TISSUES.index(dark)] = float(rng.uniform(0.0, 0.08))
        return signal
    signal = spin_echo_signal(sample_sequence(rng, name))
    return signal * torch.from_numpy(np.exp(rng.normal(0, spread, len(TISSUES)))).float()
