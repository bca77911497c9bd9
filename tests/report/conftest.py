"""A small study of the phantom with its true levels, and what a reading of it might say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from bundle.disks.match import SliceMatcher
from bundle.disks.roi import RoiCropper
from bundle.disks.types import DiskReading, SliceMatch
from bundle.geometry import DISK_LEVELS, FINDINGS, SlicePlane, Vertebra
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.anatomy import Spine, sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.study import SeriesPlan, axial_stack, sagittal_planes, series_images
from bundle.phantom.truth import boxes_on_slice, vertebrae
from bundle.study.types import Series, Study
from tests.command import run_bundle
from tests.making import series_of, study_image
from tests.report.dicoms import ReadStudy

#: Probabilities set by hand: (normal, bulge, herniation) by level.
SHARES = {
    "L1-L2": (0.962, 0.034, 0.004),
    "L2-L3": (0.71, 0.25, 0.04),
    "L3-L4": (0.18, 0.71, 0.11),
    "L4-L5": (0.05, 0.15, 0.8),
    "L5-S1": (0.31, 0.40, 0.29),
}
MODEL = {"version": "0.1.0", "weights_sha256": {"vertebrae": "ab" * 32, "disks": "0f" * 32}}


@dataclass(frozen=True)
class Reading:
    """Everything that a ReportWriter is called with."""

    study: Study
    vertebrae: tuple[Vertebra, ...]
    matches: tuple[SliceMatch, ...]
    disks: tuple[DiskReading, ...]
    flags: tuple[str, ...] = ()
    model: Any = None

    @property
    def parts(self) -> tuple[Any, ...]:
        return self.study, self.vertebrae, self.matches, self.disks, self.flags, self.model or MODEL


def judged(reading: DiskReading, shares: tuple[float, float, float]) -> DiskReading:
    """The reading with hand-set probabilities."""
    views = tuple(view for view in ("axial", "sagittal") if getattr(reading, view) is not None)
    return replace(
        reading,
        probabilities=dict(zip(FINDINGS, shares, strict=True)),
        finding=FINDINGS[int(np.argmax(shares))],
        views=views,
    )


def _rendered(name: str, patient: SpinePatient, planes: tuple[SlicePlane, ...], orientation: str) -> Series:
    plan = SeriesPlan(name, MrSequence("T2", 3500.0, 100.0), planes, Acquisition())
    images = [
        study_image(f"1.2.3.{name}.{k}", p, planes[k]) for k, p in enumerate(series_images(patient, plan, 1, profile=1))
    ]
    return replace(series_of(images, orientation), series_instance_uid=f"1.2.3.{name}", description=f"t2 {name}")


def phantom_reading(spine: Spine, sagittal_px: int, axial_px: int, sagittal_slices: int, axial_slices: int) -> Reading:
    """A reading of the phantom: true vertebrae and disks, the real matcher and cropper, probabilities set by hand."""
    patient = SpinePatient(spine)
    middle = np.mean([spine.body(level).center_lps_mm for level in ("L1", "L3", "S1")], axis=0) + np.array([0, 15, 0])
    sagittal = _rendered("sagittal", patient, sagittal_planes(middle, sagittal_slices, 4.4, 300.0, sagittal_px), "sagittal")
    disks = {level: spine.disks[level].disk for level in DISK_LEVELS}
    planes = [
        plane
        for disk in disks.values()
        for plane in axial_stack(
            disk.center_lps_mm + 18 * disk.posterior_lps, disk.normal_lps * [0, 1, 1], axial_slices, 4.4, 180.0, axial_px
        )
    ]
    axial = _rendered("axial", patient, tuple(planes), "axial")
    study = Study(
        "phantom-7", "1.2.3", (sagittal, axial), sagittal, axial,
        {"sagittal": "T2-weighted, the most slices", "axial": "T2-weighted, one stack for each disk"},
    )  # fmt: skip
    matcher, cropper = SliceMatcher(), RoiCropper(size_px=128)
    matches = matcher(axial.images, disks)
    readings = []
    for level, disk in disks.items():
        best = matcher.best_first(matches, level)
        readings.append(
            judged(
                DiskReading(
                    level,
                    disk,
                    best,
                    cropper.axial(disk, axial, best[0].image) if best else None,
                    cropper.sagittal(disk, sagittal),
                    flags=() if best else ("no_axial_slice",),
                ),
                SHARES[level],
            )
        )
    boxes = [
        (level, box)
        for image in sagittal.images
        for level, box in boxes_on_slice(spine, image.plane, image.sop_instance_uid)
    ]
    bodies = tuple(
        replace(v, score=0.98765, boxes=tuple(box for level, box in boxes if level == v.level)) for v in vertebrae(spine)
    )
    return Reading(study, bodies, matches, tuple(readings))


@pytest.fixture(scope="session")
def reading() -> Reading:
    return phantom_reading(sample_spine(5), sagittal_px=128, axial_px=96, sagittal_slices=3, axial_slices=1)


@pytest.fixture(scope="session")
def plain_reading(reading: Reading) -> Reading:
    """The same patient as a picture without a plane: no axial series, nothing in millimetres."""
    source = reading.study.sagittal.images[1]
    uid = source.sop_instance_uid
    image = study_image("spine.png", np.clip(source.load_pixels() * 255, 0, 255), None)
    series = Series("spine.png", (image,), ((0,),), "sagittal", "unknown")
    bodies = tuple(
        Vertebra(
            v.level, v.score, tuple(replace(b, sop_instance_uid="spine.png") for b in v.boxes if b.sop_instance_uid == uid)
        )
        for v in reading.vertebrae
    )  # fmt: skip
    study = Study("spine", "spine.png", (series,), series, None, {"sagittal": "a plain picture"}, ("no_patient_space",))
    made = SlicePlane(np.zeros(3), [0.0, 1, 0], [0.0, 0, -1], (1.0, 1.0), image.shape)
    disks = []
    for disk in reading.disks:
        # The disk's sagittal square with its sides along the picture's, a pixel being a millimetre.
        center = source.plane.to_pixel(disk.sagittal.plane.center_lps_mm)
        square = square_plane(made.to_patient(center), made.row_direction, made.column_direction, 30.0, 128)
        # As in a real reading, the ROI's picture has the plane that was made for it.
        roi = RoiCropper(size_px=128).cut(replace(image, plane=made), made, square)
        disks.append(
            judged(DiskReading(disk.level, disk.disk, sagittal=roi, flags=("no_patient_space",)), SHARES[disk.level])
        )
    return Reading(study, bodies, (), tuple(disks), ("levels_unsure",))


@pytest.fixture(scope="session")
def sample_reading(root, sample_study, tmp_path_factory) -> ReadStudy:
    """The report of the sample study, as the command writes it; read once."""
    return _read(root, sample_study, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def hitachi_reading(root, shared_data, tmp_path_factory) -> ReadStudy:
    """The report of a real 0.5 T study, de-identified, with Japanese character sets."""
    return _read(root, shared_data / "hitachi-study", tmp_path_factory.mktemp("hitachi"))


def _read(root, source, output) -> ReadStudy:
    done = run_bundle(root, "--studies", str(source), "--output_dir", str(output), "--progress", "false")
    assert done.returncode == 0, done.stderr
    return ReadStudy(source, output / source.name)


@pytest.fixture(scope="session", params=["sample_reading", "hitachi_reading"])
def read_study(request) -> ReadStudy:
    """Both of them, one after the other."""
    return request.getfixturevalue(request.param)
