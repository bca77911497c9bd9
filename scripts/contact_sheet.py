"""Contact sheets of the phantom, beside real images where they are at hand, for whoever judges it by eye.

python -m scripts.contact_sheet                       # all sheets to runs/sheets
python -m scripts.contact_sheet --sheets axial --seed 7
python -m scripts.contact_sheet --sheets variants,negatives,pathologies --output_dir docs --ending jpg

Sheets that show real images (sagittal, axial) stay out of the repository.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import fire
import numpy as np

from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.phantom.anatomy import TRANSITIONS, sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.pathology import DiskPathology
from bundle.phantom.shapes import DiskShape, Spine
from bundle.phantom.slices import NEGATIVES, VertebraSlices
from scripts.panels import (
    AXIAL_SCANNER,
    SAGITTAL_SCANNER,
    Panel,
    as_array,
    axial_view,
    coronal_view,
    draw_sheet,
    sagittal_view,
    squared,
    taken,
)

_FIELD_MM = 270.0
_CROP_MM = 100.0
_SPINE = 0.35  # share of a sagittal picture that decides how bright it is shown

_TITLES = {
    "sagittal": "Phantom beside real images (yellow titles), sagittal",
    "axial": "Phantom beside a real study (yellow titles), at each disk",
    "negatives": "Phantom pictures without a lumbar name",
    "pathologies": "Phantom disks at L4-L5 with the numbers of their truth",
    "variants": "Variants of the phantom",
}


def main(
    sheets: str | Sequence[str] = "sagittal,axial,negatives,pathologies,variants",
    output_dir: str = "runs/sheets",
    data_dir: str = "../shared/data",
    seed: int = 0,
    ending: str = "png",
    config: str = "configs/inference.yaml",
) -> None:
    """Write contact sheets.

    Args:
        sheets: which ones, with commas between them.
        output_dir: folder for ``<sheet>.<ending>``.
        data_dir: folder of the real images; those that are not there are left out.
        seed: of the first phantom patient.
        ending: png or jpg.
        config: components of the reading, which finds the disks of a real study.
    """
    wanted = sheets.split(",") if isinstance(sheets, str) else list(sheets)
    data = Path(data_dir)
    makers: dict[str, Callable[[], list[list[Panel]]]] = {
        "sagittal": lambda: sagittal_rows(data, seed),
        "axial": lambda: axial_rows(data, seed, config),
        "negatives": lambda: negative_rows(seed),
        "pathologies": lambda: pathology_rows(seed),
        "variants": lambda: variant_rows(seed),
    }
    unknown = [name for name in wanted if name not in makers]
    if unknown:
        raise SystemExit(f"no sheet is called {', '.join(unknown)}: choose among {', '.join(makers)}")
    for name in wanted:
        print(draw_sheet(makers[name](), Path(output_dir) / f"{name}.{ending}", _TITLES[name]))


def sagittal_rows(data: Path, seed: int, across: int = 6) -> list[list[Panel]]:
    """For each contrast a row of phantoms and a row of real images."""
    phantoms = [SpinePatient(sample_spine(seed + k)) for k in range(across)]
    real = {
        "T2": [*islice(_hitachi(data, "006_T2_SAG"), 1), *_spider(data, "t2", across - 1)],
        "T1": [*_spider(data, "t1", across // 2), *_lumbar_t1(data, across - across // 2)],
        "STIR": list(islice(_hitachi(data, "012_STIR_SAG"), across)),
        "T2 SPACE": _spider(data, "t2_SPACE", across),
    }
    rows = []
    for contrast, pictures in real.items():
        if contrast != "T2 SPACE":
            rows.append([_sagittal(p, contrast, f"phantom {seed + k} {contrast}", k) for k, p in enumerate(phantoms)])
        if pictures:
            rows.append(pictures)
    return rows


def _sagittal(patient: SpinePatient, contrast: str, title: str, seed: int = 0, left_mm: float = 0.0) -> Panel:
    center = patient.spine.body("L3").center_lps_mm + np.array([left_mm, 12.0, -22.0])
    return Panel(
        taken(patient, sagittal_view(center, _FIELD_MM), contrast, SAGITTAL_SCANNER, seed), title, window_share=_SPINE
    )


def _spider(data: Path, contrast: str, most: int) -> list[Panel]:
    table = data / "spider" / "overview.csv"
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8-sig") as file:
        spacings = {row["new_file_name"]: row["PixelSpacing"] for row in csv.DictReader(file)}
    paths = sorted((data / "spider" / "images").glob(f"*_{contrast}.png"))
    chosen = paths[:: max(len(paths) // most, 1)][:most]
    return [_picture(p, _spacing(spacings.get(p.stem, "")), f"SPIDER {p.stem}") for p in chosen]


def _spacing(text: str) -> tuple[float, float]:
    numbers = [float(n) for n in text.strip("[]() ").split(",") if n.strip()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (1.0, 1.0)


def _picture(path: Path, spacing_mm: tuple[float, float], title: str) -> Panel:
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("L"), dtype=np.float32)
    side = _FIELD_MM if spacing_mm != (1.0, 1.0) else float(min(pixels.shape))
    return Panel(squared(pixels, spacing_mm, side), title, real=True, window_share=_SPINE)


def _lumbar_t1(data: Path, most: int) -> list[Panel]:
    paths = sorted((data / "lumbar-t1" / "images").glob("*.png"))
    chosen = paths[:: max(len(paths) // most, 1)][:most]
    return [_picture(p, (1.0, 1.0), f"lumbar-t1 {p.name[:11]}") for p in chosen]


def _hitachi(data: Path, series: str) -> Iterator[Panel]:
    """Slices of one series of the Hitachi study, from the middle outward."""
    from bundle.study import StudyReader

    folder = data / "hitachi-study" / series
    if not folder.is_dir():
        return
    images = StudyReader()(folder).series[0].images
    for k in sorted(range(len(images)), key=lambda k: abs(k - len(images) // 2)):
        plane = images[k].plane
        spacing = plane.pixel_spacing_mm if plane is not None else (1.0, 1.0)
        pixels, title = squared(images[k].load_pixels(), spacing, _FIELD_MM), f"Hitachi {series} {k + 1}"
        yield Panel(pixels, title, real=True, window_share=_SPINE)


def axial_rows(data: Path, seed: int, config: str, patients: int = 3) -> list[list[Panel]]:
    """Crops at the five disks: phantoms, then the Hitachi study's; T2, then wider, then T1."""
    from bundle.disks.roi import RoiCropper

    rows = []
    crops = {"T2": RoiCropper(_CROP_MM, 320), "T2 wide": RoiCropper(180.0, 320, -15.0), "T1": RoiCropper(_CROP_MM, 320)}
    study = data / "hitachi-study"
    for name, cropper in crops.items():
        for k in range(patients if name == "T2" else 1):
            patient = SpinePatient(sample_spine(seed + k))
            rows.append([_axial(patient, patient.spine.disks[d], cropper, name, seed + k) for d in DISK_LEVELS])
        if study.is_dir():
            rows.append(_hitachi_disks(study, cropper, name, config))
    return rows


def _axial(patient: SpinePatient, shape: DiskShape, cropper: Any, name: str, seed: int) -> Panel:
    whole = axial_view(shape.disk.center_lps_mm, shape.axes, 200.0)
    plane = cropper.axial_square(shape.disk, whole)
    plane = type(plane)(
        plane.origin_lps_mm, plane.row_direction, plane.column_direction, plane.pixel_spacing_mm, plane.shape, 4.0
    )
    title = f"phantom {seed} {shape.disk.level} {name}: {shape.pathology.kind}"
    return Panel(taken(patient, plane, name.split()[0], AXIAL_SCANNER, seed), title)


def _hitachi_disks(study: Path, cropper: Any, name: str, config: str) -> list[Panel]:
    """The slice that passes through each disk, by the bundle's own reading."""
    from monai.bundle import ConfigParser

    from bundle.disks.transforms import find_disks
    from bundle.study import StudyReader

    parser = ConfigParser()
    parser.read_config(config)
    reader = StudyReader(axial_order=["T1"]) if name == "T1" else StudyReader()
    read = reader(study)
    vertebrae, _ = parser.get_parsed_content("vertebra_finder")(read.sagittal)
    found = find_disks(read, vertebrae, parser.get_parsed_content("disk_steps"))
    panels = []
    for reading in found["readings"]:
        if reading.disk is None or not reading.matches or read.axial is None:
            continue
        roi = cropper.axial(reading.disk, read.axial, reading.matches[0].image)
        panels.append(Panel(roi.pixels[len(roi.pixels) // 2], f"Hitachi {reading.level} {name}", real=True))
    return panels


def negative_rows(seed: int, examples: int = 2) -> list[list[Panel]]:
    """Some of each kind of picture without a lumbar name, as the training draws them."""
    panels = []
    for kind in NEGATIVES:
        slices = VertebraSlices(
            examples, seed, negatives=1.0, negative_kinds={kind: 1.0}, contrasts_per_plane=1, randomised=0.0
        )
        panels += [Panel(as_array(slices[k]["image"]), f"{kind}") for k in range(examples)]
    return [panels[k : k + 8] for k in range(0, len(panels), 8)]


def pathology_rows(seed: int, examples: int = 3) -> list[list[Panel]]:
    """Examples of each kind at L4-L5, axial and sagittal, with the numbers of their truth."""
    rows = []
    for kind in ("normal", "bulge", "protrusion", "extrusion"):
        finding = kind if kind in FINDINGS else "herniation"
        row = []
        for patient in islice(_patients(seed, kind, finding), examples):
            shape = patient.spine.disks["L4-L5"]
            row += _both_views(patient, shape, _numbers(shape.pathology))
        rows.append(row)
    return rows


def _patients(seed: int, kind: str, finding: str) -> Iterator[SpinePatient]:
    for k in count(seed):
        spine = sample_spine(k, findings={"L4-L5": finding}, surgery=0.0)
        if spine.disks["L4-L5"].pathology.kind == kind:
            yield SpinePatient(spine)


def _numbers(pathology: DiskPathology) -> str:
    parts = [pathology.kind]
    if pathology.angle_deg:
        parts.append(f"{pathology.angle_deg:.0f}° beyond the rim")
    if pathology.base_mm:
        side = "left" if pathology.direction_deg > 0 else "right"
        parts.append(
            f"\nbase {pathology.base_mm:.1f}, extent {pathology.extent_mm:.1f} mm"
            f"\ntip {abs(pathology.direction_deg):.0f}° {side} of the back"
        )
    return ", ".join(parts).replace(", \n", "\n")


def _both_views(patient: SpinePatient, shape: DiskShape, title: str) -> list[Panel]:
    back = shape.disk.back_lps_mm
    axial = axial_view(back - 10 * shape.axes[1], shape.axes, 80.0, 256)
    # Through the largest part of a focal herniation.
    aside = np.sin(np.radians(shape.pathology.direction_deg)) * shape.half_depth_mm * shape.axes[0]
    sagittal = sagittal_view(back + aside, 80.0, 256)
    return [
        Panel(taken(patient, axial, "T2", AXIAL_SCANNER), title),
        Panel(taken(patient, sagittal, "T2", SAGITTAL_SCANNER), "the same, sagittal"),
    ]


@dataclass(frozen=True)
class Variant:
    """What a sheet of variants shows.

    Args:
        shows: whether a spine has it; patients are drawn until one does.
        contrast: of the picture.
        view: sagittal, coronal or the level of an axial slice.
        settings: further arguments of sample_spine.
    """

    shows: Callable[[Spine], Any] = bool
    contrast: str = "T2"
    view: str = "sagittal"
    settings: Mapping[str, Any] = field(default_factory=dict)


def _slip_mm(spine: Spine) -> float:
    """How far L4 or L5 stands before the body below it."""
    pairs = ((spine.body("L5"), spine.body("L4")), (spine.body("S1"), spine.body("L5")))
    return max(
        float(-(up.corners_lps_mm()[2] - low.corners_lps_mm()[1]) @ low.axes[1]) - 2.0 for low, up in pairs
    )  # fmt: skip


def _wedge(spine: Spine) -> float:
    """Share of its height that the most wedged body lost at the front."""
    return max(1 - b.half_height_mm[0] / b.half_height_mm[1] for b in spine.bodies if b.level in ("T12", "L1", "L2", "L3"))


def _grown(spine: Spine, kind: str) -> int:
    return sum(g.kind == kind and g.level[0] == "L" for g in spine.growths)


def _modic(spine: Spine, kind: int) -> bool:
    """Whether a change of this type lies near the middle of a disk that the sagittal picture shows."""
    changes = (c for level in DISK_LEVELS for c in spine.disks[level].pathology.changes)
    return any(c.modic == kind and abs(c.center_uv_mm[0]) < 6 and c.depth_mm > 5 for c in changes)


def _schmorl(spine: Spine) -> bool:
    nodes = (n for level in DISK_LEVELS for n in spine.disks[level].pathology.nodes)
    return any(abs(n.center_uvw_mm[0]) < 4 and n.radii_mm[2] > 3 for n in nodes)


VARIANTS: dict[str, Variant] = {
    **{name: Variant(settings={"transition": name}) for name in TRANSITIONS},
    "scoliosis": Variant(lambda s: abs(s.soft["curve"]) > 17, view="coronal"),
    "scoliosis, sagittal": Variant(lambda s: abs(s.soft["curve"]) > 17),
    "listhesis": Variant(lambda s: _slip_mm(s) > 6),
    "fracture": Variant(lambda s: _wedge(s) > 0.38, "T1"),
    "osteophytes": Variant(lambda s: _grown(s, "osteophyte") > 6, "T1"),
    "haemangioma": Variant(lambda s: _grown(s, "haemangioma")),
    "Modic 1": Variant(lambda s: _modic(s, 1), "STIR"),
    "Modic 2": Variant(lambda s: _modic(s, 2), "T1"),
    "Modic 3": Variant(lambda s: _modic(s, 3), "T1"),
    "Schmorl": Variant(_schmorl),
    "laminectomy": Variant(lambda s: s.laminectomy and not s.screws, settings={"surgery": 1.0}),
    "laminectomy, axial": Variant(lambda s: "L4" in s.laminectomy and not s.screws, "T2", "L4-L5", {"surgery": 1.0}),
    "screws": Variant(lambda s: s.screws, settings={"surgery": 1.0}),
    "little lordosis": Variant(lambda s: s.soft["lordosis"] < 0.5),
    "much lordosis": Variant(lambda s: s.soft["lordosis"] > 1.6),
    "fatty muscle": Variant(lambda s: s.soft["muscle_fat"] > 0.6, "T2", "L4-L5"),
}


def variant_rows(seed: int, across: int = 7, tries: int = 400) -> list[list[Panel]]:
    """One patient of each of VARIANTS; those that the phantom never shows are left out."""
    panels = []
    for name, variant in VARIANTS.items():
        spines = (sample_spine(k, **variant.settings) for k in range(seed, seed + tries))
        spine = next((s for s in spines if variant.shows(s)), None)
        if spine is not None:
            panels.append(_variant_panel(SpinePatient(spine), variant, name))
    return [panels[k : k + across] for k in range(0, len(panels), across)]


def _variant_panel(patient: SpinePatient, variant: Variant, name: str) -> Panel:
    spine = patient.spine
    title = f"{name} ({variant.contrast})"
    scanner = SAGITTAL_SCANNER
    if spine.screws:
        scanner = replace(scanner, metal_mm=14.0)
    center = spine.body("L3").center_lps_mm
    if variant.view == "sagittal":
        aside = 17.0 if spine.screws else 0.0
        plane = sagittal_view(center + np.array([aside, 12.0, -22.0]), _FIELD_MM, 320)
    elif variant.view == "coronal":
        plane = coronal_view(center + np.array([0.0, 0.0, -10.0]), _FIELD_MM, 320)
    else:
        shape = spine.disks[variant.view]
        plane, scanner = axial_view(shape.disk.back_lps_mm + 12 * shape.axes[1], shape.axes, 160.0), AXIAL_SCANNER
    share = _SPINE if variant.view == "sagittal" else 0.85
    return Panel(taken(patient, plane, variant.contrast, scanner), title, window_share=share)


if __name__ == "__main__":
    fire.Fire(main)
