"""Checks the phantom's truth against its voxels on many random spines, and prints how far they disagree.

nice -n 5 python -m scripts.check_phantom_truth --count 1000 --workers 2

Of each spine one disk and one body are measured, the levels in turn, so that a thousand spines give two hundred of each.
What is measured, and that it shares no code with the truth, is in scripts/phantom_voxels.py.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import fire
import numpy as np
import torch
from tqdm import tqdm

from bundle.geometry import DISK_LEVELS, SlicePlane
from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.shapes import Body, Spine
from bundle.phantom.truth import box_on_slice
from scripts.phantom_voxels import read_box, read_corners, read_disk, read_fragment_reach_mm

#: What is allowed between truth and voxels, 95th percentile.
TOLERANCES: dict[str, float] = {
    "disk centre, mm": 0.2,
    "angle of a bulge, degrees": 2.0,
    "angle of a herniation, degrees": 2.0,
    "extent, mm": 0.3,
    "base of a herniation, mm": 0.5,
    "reach of a fragment, mm": 0.5,
    "box extents, mm": 0.3,
    "corners, mm": 0.5,
}
_BODIES = ("L1", "L2", "L3", "L4", "L5")

Row = tuple[str, float, str]  # what, error, where


def check_spine(seed: int, transition: str | None = None) -> list[Row]:
    """Errors of the truth of one disk and one body of a spine, and of the disk's finding (0 right, 1 wrong)."""
    torch.set_num_threads(1)
    spine = sample_spine(seed, transition=transition)
    disk, body = DISK_LEVELS[seed % 5], _BODIES[seed // 5 % 5]
    return [*check_disk(spine, disk, f"{seed} {disk}"), *check_body(spine, body, f"{seed} {body}")]


def check_disk(spine: Spine, level: str, where: str) -> list[Row]:
    """Errors of one disk's truth."""
    shape = spine.disks[level]
    path, read = shape.pathology, read_disk(spine, level)
    rows: list[Row] = [("disk centre, mm", float(np.linalg.norm(read.center_lps_mm - shape.disk.center_lps_mm)), where)]
    focal = 0 < path.measures.focal_deg < 90  # by the outline alone, without fragments
    outline = path.excess_mm.max() - (path.measures.reference_mm if focal else 0.0)
    rows.append(("extent, mm", abs(read.extent_mm - float(outline)), where))
    # A free piece is a herniation whatever the outline is: only without one does the outline decide.
    if not path.fragments:
        rows.append(("finding", float(read.finding != path.finding), where))
    if path.finding != "normal" and read.finding == path.finding:
        rows.append((f"angle of a {path.finding}, degrees", abs(read.angle_deg - path.angle_deg), where))
        if path.finding == "herniation" and path.measures.direction_deg == float(np.argmax(path.excess_mm) - 180):
            rows.append(("base of a herniation, mm", abs(read.base_mm - path.base_mm), where))
    for number, fragment in enumerate(path.fragments):
        error = abs(read_fragment_reach_mm(spine, level, number) - fragment.reach_mm(path.rim))
        rows.append(("reach of a fragment, mm", error, where))
    return rows


def check_body(spine: Spine, level: str, where: str) -> list[Row]:
    """Errors of one body's corners, and of its box on a slice that lies beside its middle and leans."""
    body = spine.body(level)
    plane = _slice_beside(body, np.random.default_rng([spine.seed, 7]))
    box = box_on_slice(body, plane)
    assert box is not None  # the slice passes near the body's middle
    boxes = np.abs(read_box(spine, level, plane) - box.xyxy) * plane.pixel_spacing_mm[0]
    corners = np.linalg.norm(read_corners(spine, level) - body.corners_lps_mm(), axis=-1)
    rows = [("box extents, mm", float(error), where) for error in boxes]
    return rows + [("corners, mm", float(error), where) for error in corners]


def _slice_beside(body: Body, rng: np.random.Generator) -> SlicePlane:
    turn, lean = np.radians(rng.normal(0, (3.0, 4.0)))
    row = np.array([np.sin(turn), np.cos(turn), 0.0])
    column = np.array([np.sin(lean), 0.0, -np.cos(lean)])
    column = column - (column @ row) * row
    center = body.center_lps_mm + rng.uniform(-6, 6) * body.axes[0] + rng.normal(0, 0.5, 3)
    return square_plane(center, row, column / np.linalg.norm(column), 60.0, 160)


def table(rows: Iterable[Row]) -> str:
    """Markdown table of the errors: median, 95th percentile, largest and where that is."""
    by_name: dict[str, list[tuple[float, str]]] = {}
    for name, error, where in rows:
        by_name.setdefault(name, []).append((error, where))
    lines = [
        "| what | n | median | 95th percentile | largest (spine, level) | tolerance |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, tolerance in TOLERANCES.items():
        if found := by_name.get(name):
            errors = np.array([e for e, _ in found])
            largest, where = max(found)
            median, high = np.percentile(errors, [50, 95])
            lines.append(f"| {name} | {len(errors)} | {median:.3f} | {high:.3f} | {largest:.3f} ({where}) | {tolerance} |")
    wrong = [where for error, where in by_name.get("finding", []) if error]
    lines.append(
        f"\nFindings: {len(by_name.get('finding', []))} outlines named by their voxels, {len(wrong)} otherwise than by"
    )
    lines[-1] += f" the truth{': ' + ', '.join(wrong) if wrong else ''}."
    return "\n".join(lines)


def main(count: int = 1000, seed: int = 0, workers: int = 1, rows_file: str | None = None) -> None:
    """Check ``count`` spines from ``seed`` on, in ``workers`` processes, and print the table.

    Each measurement is added to ``rows_file`` (CSV: what, error, where) at once, if one is named.

    Ends with status 1 if the 95th percentile of any error is above its tolerance.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows: list[Row] = []
    with ProcessPoolExecutor(workers) as pool:
        for found in tqdm(pool.map(check_spine, range(seed, seed + count)), total=count, unit="spine", mininterval=5):
            rows.extend(found)
            if rows_file:
                with open(rows_file, "a", newline="") as file:
                    csv.writer(file).writerows(found)
    print(table(rows))
    exceeded = [n for n, t in TOLERANCES.items() if (e := [r[1] for r in rows if r[0] == n]) and np.percentile(e, 95) > t]
    if exceeded:
        raise SystemExit(f"above tolerance: {', '.join(exceeded)}")


if __name__ == "__main__":
    fire.Fire(main)
