"""How one series is taken: the scanner's settings and faults, and how often each occurs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Export:
    """How a picture left the archive as PNG or JPG: windowed to 8 bits.

    Args:
        clipped: share of pixels that the window clips to white; 0 shows the brightest pixel as 255.
        black: share of the white level that became 0.
        gamma: exponent of the display curve.
        jpeg_quality: of the JPEG file; 0 for a file without loss.
    """

    clipped: float = 0.0
    black: float = 0.0
    gamma: float = 1.0
    jpeg_quality: int = 0


@dataclass(frozen=True)
class Acquisition:
    """How one series was taken. Without arguments: a scanner without any fault.

    Args:
        voxel_mm: acquired pixel along (rows, columns); where it is larger than the image's own, the rest of k-space is zero.
        partial_fourier: share of the phase encoding steps that were taken, 0.5 to 1.
        phase_axis: image axis of the phase encoding, 0 along the rows' index (head to feet in sagittal images), 1 along the
            columns'. Frequency is encoded along the other one.
        noise: standard deviation of the noise in each of the two receiver channels, as a share of the brightest tissue.
        coil_depth_mm: depth below the back's skin at which the surface array has lost half of its signal; 0 for none.
        coil_correction: share of that fall-off, in its logarithm, that is evened out afterwards, noise included.
        coil_elements: how much brighter and darker the signal is near the array's elements, as a share.
        bias: strength of the smooth field that is left, as the logarithm's standard deviation.
        field_seed: of bias and elements, which all slices of a series share.
        texture: grain of the tissue itself, as a share of its brightness.
        fat_shift_mm: how far fat is displaced along the frequency axis (chemical shift).
        flow_void: share of the signal that pulsating CSF loses where it flows fastest.
        pulsation: strength of the ghosts of CSF along the phase axis, as a share of its signal.
        breathing: strength of the ghosts of the abdominal wall along the phase axis, as a share of its signal.
        ghost_spacing: distance of the first ghosts, as a share of the image's size along the phase axis.
        motion_mm: standard deviation of the patient's place from one excitation to the next.
        shots: excitations over which k-space was filled, line by line in turn.
        wrap: signal of what lies outside the field of view along the phase axis, folded back in; 0 for none.
        wrap_mm: how far beyond the edge it comes from.
        saturation: share of the signal that an anterior saturation band takes; 0 for none.
        saturation_depth_mm: depth below the back's skin at which the band begins.
        saturation_tilt: how much deeper it begins for each mm down the image.
        metal_mm: displacement along the frequency axis at the edge of metal; 0 leaves metal without any effect but its own
            lack of signal.
        zipper: brightness of a line of interference along the phase axis; 0 for none.
        zipper_place: where, as a share of the image's size along the frequency axis.
        spike: strength of the stripes that a spike in k-space leaves; 0 for none.
        border: how far the corners are cut by the scanner's correction for its gradients, as a share of the image's size.
        export: windowing to 8 bits; None keeps the brightness.
    """

    voxel_mm: Range = (0.0, 0.0)
    partial_fourier: float = 1.0
    phase_axis: int = 0
    noise: float = 0.0
    coil_depth_mm: float = 0.0
    coil_correction: float = 0.0
    coil_elements: float = 0.0
    bias: float = 0.0
    field_seed: int = 0
    texture: float = 0.0
    fat_shift_mm: float = 0.0
    flow_void: float = 0.0
    pulsation: float = 0.0
    breathing: float = 0.0
    ghost_spacing: float = 0.2
    motion_mm: float = 0.0
    shots: int = 12
    wrap: float = 0.0
    wrap_mm: float = 40.0
    saturation: float = 0.0
    saturation_depth_mm: float = 120.0
    saturation_tilt: float = 0.0
    metal_mm: float = 0.0
    zipper: float = 0.0
    zipper_place: float = 0.3
    spike: float = 0.0
    border: float = 0.0
    export: Export | None = None

    def cropped(self) -> Acquisition:
        """The same for an image that is a part of the acquired one: what happens at the edges of the field is not in it."""
        return replace(self, wrap=0.0, border=0.0)


@dataclass(frozen=True)
class AcquisitionRates:
    """How often each setting and fault occurs (``chance_``), and between which limits its strength is drawn.

    The defaults span a good and a poor scanner. Noise, coil, saturation bands, cut corners and windows follow what was
    measured on SPIDER and lumbar-t1 (SPIDER's pictures clip 5% of their pixels to white, lumbar-t1's none); the others occur
    more often than in a reading room, so that training sees enough of each fault. ``noise`` is a share of the brightest
    tissue's signal at the depth of the bodies.
    """

    voxel_frequency_mm: Range = (0.5, 1.2)
    voxel_phase_mm: Range = (0.6, 1.6)
    chance_partial_fourier: float = 0.3
    chance_phase_along_rows: float = 0.75
    noise: Range = (0.0008, 0.03)
    chance_coil: float = 0.85
    coil_depth_mm: Range = (40.0, 250.0)
    chance_coil_correction: float = 0.5
    chance_coil_elements: float = 0.4
    coil_elements: Range = (0.05, 0.5)
    bias: Range = (0.0, 0.25)
    texture: Range = (0.0, 0.1)
    fat_shift_mm: Range = (0.2, 2.5)
    chance_flow_void: float = 0.35
    flow_void: Range = (0.15, 0.7)
    chance_pulsation: float = 0.3
    pulsation: Range = (0.02, 0.15)
    chance_breathing: float = 0.15
    breathing: Range = (0.03, 0.25)
    ghost_spacing: Range = (0.05, 0.45)
    chance_motion: float = 0.1
    motion_mm: Range = (0.2, 1.2)
    chance_wrap: float = 0.08
    wrap: Range = (0.1, 0.7)
    wrap_mm: Range = (15.0, 80.0)
    chance_saturation: float = 0.6
    saturation: Range = (0.7, 0.97)
    saturation_before_bodies_mm: Range = (-3.0, 40.0)
    metal_mm: Range = (4.0, 40.0)
    chance_zipper: float = 0.02
    zipper: Range = (0.1, 0.6)
    chance_spike: float = 0.015
    spike: Range = (0.02, 0.12)
    chance_border: float = 0.25
    border: Range = (0.01, 0.08)
    chance_export: float = 0.35
    clipped: Range = (0.0, 0.09)
    black: Range = (0.0, 0.06)
    gamma: Range = (0.75, 1.25)
    chance_jpeg: float = 0.4
    jpeg_quality: Range = (35.0, 95.0)

    @classmethod
    def without_artefacts(cls) -> AcquisitionRates:
        """Resolution, noise, coil, bias and texture as usual, and no fault beyond them."""
        chances = {f.name: 0.0 for f in fields(cls) if f.name.startswith("chance_")}
        kept = {name: getattr(cls, name) for name in ("chance_partial_fourier", "chance_phase_along_rows", "chance_coil")}
        return cls(fat_shift_mm=(0.0, 0.0), metal_mm=(0.0, 0.0), **(chances | kept))

    @classmethod
    def perfect(cls) -> AcquisitionRates:
        """A scanner that adds nothing to the tissue's signal: all off."""
        off = (0.0, 0.0)
        plain = cls.without_artefacts()
        return replace(
            plain, voxel_frequency_mm=off, voxel_phase_mm=off, noise=off, bias=off, texture=off, chance_partial_fourier=0.0,
            chance_coil=0.0,
        )  # fmt: skip


def sample_acquisition(
    rng: np.random.Generator, rates: AcquisitionRates | None = None, front_depth_mm: float = 110.0
) -> Acquisition:
    """An acquisition as hospitals take them.

    Args:
        rng: source of chance.
        rates: what occurs how often; the usual where None.
        front_depth_mm: greatest depth of the bodies' front below the back's skin. A technician lays the saturation band
            before it, and takes as many averages as this patient's bodies need to stand out from the noise.
    """
    r = rates or AcquisitionRates()

    def between(limits: Range) -> float:
        return float(rng.uniform(*limits))

    def log_between(limits: Range) -> float:
        return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1])))) if limits[0] > 0 else between(limits)

    def maybe(chance: float, limits: Range) -> float:
        """A strength where the fault occurs, 0 where not."""
        return log_between(limits) if rng.random() < chance else 0.0

    phase_axis = 0 if rng.random() < r.chance_phase_along_rows else 1
    frequency_mm = between(r.voxel_frequency_mm)
    # Phase encoding costs time, so it is never finer than frequency encoding.
    phase_mm = max(between(r.voxel_phase_mm), frequency_mm)
    coil_depth_mm = maybe(r.chance_coil, r.coil_depth_mm)
    return Acquisition(
        voxel_mm=(phase_mm, frequency_mm) if phase_axis == 0 else (frequency_mm, phase_mm),
        partial_fourier=float(rng.uniform(0.6, 0.9)) if rng.random() < r.chance_partial_fourier else 1.0,
        phase_axis=phase_axis,
        noise=log_between(r.noise) * (0.5 ** (front_depth_mm / coil_depth_mm) if coil_depth_mm else 1.0),
        coil_depth_mm=coil_depth_mm,
        coil_correction=float(rng.uniform(0.5, 1.0)) if coil_depth_mm and rng.random() < r.chance_coil_correction else 0.0,
        coil_elements=maybe(r.chance_coil_elements, r.coil_elements),
        bias=between(r.bias),
        field_seed=int(rng.integers(2**31)),
        texture=between(r.texture),
        fat_shift_mm=between(r.fat_shift_mm) * float(rng.choice([-1.0, 1.0])),
        flow_void=maybe(r.chance_flow_void, r.flow_void),
        pulsation=maybe(r.chance_pulsation, r.pulsation),
        breathing=maybe(r.chance_breathing, r.breathing),
        ghost_spacing=between(r.ghost_spacing),
        motion_mm=maybe(r.chance_motion, r.motion_mm),
        shots=int(rng.integers(4, 24)),
        wrap=maybe(r.chance_wrap, r.wrap),
        wrap_mm=between(r.wrap_mm),
        saturation=maybe(r.chance_saturation, r.saturation),
        saturation_depth_mm=front_depth_mm + between(r.saturation_before_bodies_mm),
        saturation_tilt=float(rng.normal(0, 0.05)),
        metal_mm=log_between(r.metal_mm),
        zipper=maybe(r.chance_zipper, r.zipper),
        zipper_place=float(rng.uniform(0.02, 0.98)),
        spike=maybe(r.chance_spike, r.spike),
        border=maybe(r.chance_border, r.border),
        export=_sample_export(rng, r) if rng.random() < r.chance_export else None,
    )


def _sample_export(rng: np.random.Generator, r: AcquisitionRates) -> Export:
    return Export(
        black=float(rng.uniform(*r.black)),
        clipped=float(rng.uniform(*r.clipped)),
        gamma=float(rng.uniform(*r.gamma)),
        jpeg_quality=round(rng.uniform(*r.jpeg_quality)) if rng.random() < r.chance_jpeg else 0,
    )
