"""Draws one phantom slice in every protocol and through every fault of the scanner, for whoever judges them by eye.

python -m scripts.scanner_figure
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fire
import numpy as np
import torch

from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition, Export, sample_acquisition
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import View, render
from bundle.phantom.sequences import Sequence, spin_echo_signal

T2 = Sequence("T2", 3600.0, 115.0, echo_train=20)
PROTOCOLS = {
    "T2 1.5 T": T2,
    "T1 1.5 T": Sequence("T1", 600.0, 11.0, echo_train=4),
    "T1 0.3 T": Sequence("T1", 460.0, 25.0, field_t=0.3, echo_train=1),
    "T1 3 T": Sequence("T1", 700.0, 9.0, field_t=3.0, echo_train=5),
    "STIR 1.5 T": Sequence("STIR", 4500.0, 60.0, ti_ms=165.0),
    "T2FS 1.5 T": Sequence("T2FS", 4000.0, 80.0, fat_fraction=0.1),
    "PD 1.5 T": Sequence("PD", 2500.0, 25.0, echo_train=6),
    "MYELO": Sequence("MYELO", 6000.0, 800.0, fat_fraction=0.1, echo_train=200),
}
GOOD = Acquisition(voxel_mm=(0.9, 0.7), noise=0.006, texture=0.05)
FAULTS = {
    "perfect scanner": Acquisition(),
    "a good one": GOOD,
    "voxel 2.5 x 1.2 mm": replace(GOOD, voxel_mm=(2.5, 1.2)),
    "partial Fourier 0.6": replace(GOOD, voxel_mm=(1.6, 0.8), partial_fourier=0.6),
    "noise 0.04": replace(GOOD, noise=0.04),
    "coil 60 mm": replace(GOOD, coil_depth_mm=60.0),
    "coil 60 mm, corrected": replace(GOOD, coil_depth_mm=60.0, coil_correction=0.8, noise=0.01),
    "coil elements 0.5": replace(GOOD, coil_depth_mm=100.0, coil_elements=0.5, field_seed=3),
    "bias 0.25": replace(GOOD, bias=0.25),
    "texture 0.12": replace(GOOD, texture=0.12),
    "fat shift 3 mm": replace(GOOD, fat_shift_mm=3.0),
    "flow void": replace(GOOD, flow_void=0.8),
    "pulsation, along rows": replace(GOOD, pulsation=0.12, phase_axis=1, ghost_spacing=0.13),
    "pulsation, along columns": replace(GOOD, pulsation=0.12, ghost_spacing=0.13),
    "breathing": replace(GOOD, breathing=0.2, phase_axis=1, ghost_spacing=0.12),
    "motion 0.8 mm": replace(GOOD, motion_mm=0.8, shots=10),
    "wrap, along columns": replace(GOOD, wrap=0.6, wrap_mm=60.0),
    "wrap, along rows": replace(GOOD, wrap=0.6, wrap_mm=80.0, phase_axis=1),
    "saturation band": replace(GOOD, saturation=0.93, saturation_depth_mm=130.0, saturation_tilt=0.05),
    "metal, 8 mm": replace(GOOD, metal_mm=8.0),
    "metal, 25 mm": replace(GOOD, metal_mm=25.0),
    "zipper": replace(GOOD, zipper=0.4),
    "spike": replace(GOOD, spike=0.06),
    "cut corners": replace(GOOD, border=0.06),
    "window clips 8%": replace(GOOD, coil_depth_mm=100.0, export=Export(clipped=0.08)),
    "JPEG 35": replace(GOOD, export=Export(clipped=0.02, jpeg_quality=35)),
}
DRAWS = 22


def main(output: str = "runs/scanner.png", seed: int = 2, size_px: int = 320, field_of_view_mm: float = 290.0) -> None:
    """Draw the sheet: protocols, faults in T2, then acquisitions as they are drawn for training.

    Args:
        output: PNG file.
        seed: of the patient.
        size_px: side of each image.
        field_of_view_mm: side of each image.
    """
    from matplotlib.figure import Figure

    spine = sample_spine(seed)
    center = spine.body("L3").center_lps_mm + np.array([0.0, 10.0, -15.0])
    plane = square_plane(center, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), field_of_view_mm, size_px, 4.0)
    rng = np.random.default_rng(seed)
    shown = [(name, sequence, GOOD) for name, sequence in PROTOCOLS.items()]
    shown += [(name, T2, acquisition) for name, acquisition in FAULTS.items()]
    shown += [(f"drawn {k}", T2, sample_acquisition(rng, front_depth_mm=spine.front_depth_mm)) for k in range(DRAWS)]
    signals = torch.stack([spin_echo_signal(sequence) for _, sequence, _ in shown])
    acquisitions = [acquisition for *_, acquisition in shown]
    patients = (SpinePatient(spine), SpinePatient(replace(spine, screws=("L3", "L4"))))
    plain, operated = (render([View(p, plane, signals, acquisitions, [seed] * len(shown))], profile=3)[0] for p in patients)

    columns = 8
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.7 * rows), facecolor="black", layout="constrained")
    for axes in figure.subplots(rows, columns).flat:
        axes.axis("off")
    for k, (name, _, acquisition) in enumerate(shown):
        axes = figure.axes[k]
        image = operated[k] if name.startswith("metal") else plain[k]
        axes.imshow(image, cmap="gray", vmin=0, vmax=1 if acquisition.export else 0.9)
        axes.set_title(name, color="white", fontsize=9)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100)
    print(output)


if __name__ == "__main__":
    fire.Fire(main)
