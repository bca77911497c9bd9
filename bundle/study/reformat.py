"""A 3-D series with nearly cubic voxels serves as the view that a study lacks: slices are cut through its volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import SlicePlane, Stack, VolumeGrid, unit
from bundle.study.choice import candidates, contrast_reason
from bundle.study.series import SeriesFacts
from bundle.study.types import Orientation, Series, StudyImage, Weighting

View = Literal["sagittal", "axial"]

_MIN_SLICES = 30
_MAX_STEP_MM = 1.6
_MAX_RATIO = 1.7  # between step and in-plane spacing
_MAX_UNEVEN_MM = 0.2  # of a slice's position, against even steps
#: Millimetres from one cut to the next, which is also their thickness: what 2-D series of that view usually have.
_CUT_MM: dict[View, float] = {"sagittal": 4.0, "axial": 3.0}
# Patient axis (0 left, 1 back, 2 head) and sign along the rows, down the columns and from cut to cut.
_WAYS: dict[View, tuple[tuple[int, float], ...]] = {
    "sagittal": ((1, 1.0), (2, -1.0), (0, 1.0)),
    "axial": ((0, 1.0), (1, 1.0), (2, -1.0)),
}
_SOURCES: dict[View, tuple[Orientation, ...]] = {"sagittal": ("axial", "coronal"), "axial": ("sagittal", "coronal")}


@dataclass(frozen=True, eq=False)
class _Volume:
    """Images in order of position, and the grid on which they lie."""

    images: tuple[StudyImage, ...]
    grid: VolumeGrid


def isotropic_source(
    facts: Sequence[SeriesFacts], view: View, order: Sequence[Weighting], first: SeriesFacts | None = None
) -> SeriesFacts | None:
    """The series that ``view`` can be cut from; None if the study has none.

    A series can be cut in any direction if it has 30 or more parallel, evenly spaced slices of one matrix, at most 1.6 mm
    apart, and if the distance of its pixels differs from that step by a factor of at most 1.7.

    Args:
        facts: all series of the study.
        view: the one that is missing.
        order: contrasts, the best first.
        first: a series to be taken before all others, if it can be cut.
    """
    found = [f for way in _SOURCES[view] for f in candidates(facts, way) if _volume_of(f.series) is not None]
    return min(found, key=lambda f: (f is not first, order.index(f.series.weighting), f.derived), default=None)


def reformatted(source: SeriesFacts, view: View) -> SeriesFacts:
    """The series of ``view``, cut from ``source``.

    Args:
        source: as isotropic_source finds it.
        view: the one that is missing.

    Returns:
        A series of one stack, in LPS millimetres like any other, with the UID of the series it was cut from, square pixels,
        the note ``axial_reformatted`` or ``sagittal_reformatted``, and images named ``<series UID>#axial-<number>``, counted
        from 1 in patient order. Pixels are computed when asked for; load_pixels raises StudyError if a slice of the volume
        cannot be decoded.

    Raises:
        ValueError: ``source`` cannot be cut.
    """
    volume = _volume_of(source.series)
    if volume is None:
        raise ValueError("slices can only be cut from evenly spaced slices with nearly cubic voxels")
    images = _cuts(volume, view, source.series.series_instance_uid)
    series = replace(
        source.series,
        images=images,
        stacks=(tuple(range(len(images))),),
        orientation=view,
        notes=(*source.series.notes, f"{view}_reformatted"),
    )
    return replace(source, series=series)


def reformatting_reason(source: SeriesFacts, view: View) -> str:
    """Why a view is cut from ``source``, in one sentence for the report."""
    return (
        f"{view} by reformatting: cut every {_CUT_MM[view]:g} mm from a {source.series.orientation} 3-D series "
        f"({contrast_reason(source)}); there is no {view} series."
    )


def _volume_of(series: Series) -> _Volume | None:
    if len(series.stacks) != 1 or len(series.images) < _MIN_SLICES:
        return None
    planes = [image.plane for image in series.images if image.plane is not None]
    if len(planes) < len(series.images):
        return None
    stack = Stack(tuple(planes))
    grid = VolumeGrid.from_stack(stack, _MAX_UNEVEN_MM)
    if grid is None:
        return None
    step_mm = float(grid.affine[:3, 0] @ stack.planes[0].normal)
    if step_mm > _MAX_STEP_MM or any(
        not 1 / _MAX_RATIO <= step_mm / spacing <= _MAX_RATIO for spacing in grid.spacing_mm[1:]
    ):
        return None
    return _Volume(tuple(series.images[k] for k in stack.order), grid)


def _cuts(volume: _Volume, view: View, uid: str) -> tuple[StudyImage, ...]:
    """Slices through the whole of ``volume``, along its own axes, so that none leaves it at its corners."""
    grid = volume.grid
    normal = unit(np.cross(grid.affine[:3, 2], grid.affine[:3, 1]))
    axes = np.stack([normal, unit(grid.affine[:3, 1]), unit(grid.affine[:3, 2])])
    # Which axis of the volume lies along which of the patient's, taken together: no axis serves twice.
    along = max(permutations(range(3)), key=lambda order: sum(abs(axes[order[k], k]) for k in range(3)))
    row, column, across = (axes[along[k]] * sign * (1.0 if axes[along[k], k] >= 0 else -1.0) for k, sign in _WAYS[view])
    pixel_mm, cut_mm = float(grid.spacing_mm.min()), _CUT_MM[view]
    last = np.array(grid.shape) - 1
    center = grid.to_patient(last / 2)
    corners = grid.to_patient(np.array(list(np.ndindex(2, 2, 2))) * last)
    reach = np.ptp(corners @ np.stack([row, column, across], axis=1), axis=0)
    columns, rows = (int(length / pixel_mm) + 1 for length in reach[:2])
    count = max(int((reach[2] - cut_mm) / cut_mm) + 1, 1)
    corner = center - (columns - 1) / 2 * pixel_mm * row - (rows - 1) / 2 * pixel_mm * column

    @cache
    def voxels() -> NDArray[np.float32]:
        return np.stack([image.load_pixels() for image in volume.images])

    images = []
    for k in range(count):
        origin = corner + (k - (count - 1) / 2) * cut_mm * across
        plane = SlicePlane(origin, row, column, (pixel_mm, pixel_mm), (rows, columns), cut_mm)
        load = partial(_cut, grid, voxels, plane, across)
        images.append(StudyImage(f"{uid}#{view}-{k + 1}", plane, load, volume.images[0].source, (rows, columns)))
    return tuple(images)


def _cut(
    grid: VolumeGrid, voxels: Callable[[], NDArray[np.float32]], plane: SlicePlane, across: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Pixels of one cut: the mean of thin cuts through its thickness, as a thick slice is measured."""
    from scipy import ndimage

    thickness, (pixel_mm, _) = plane.thickness_mm or 0.0, plane.pixel_spacing_mm
    layers = max(round(thickness / pixel_mm), 1)
    layer_mm = thickness / layers
    steps = np.stack([across * layer_mm, plane.column_direction * pixel_mm, plane.row_direction * pixel_mm], axis=1)
    first = plane.origin_lps_mm - (layers - 1) / 2 * layer_mm * across
    to_index = np.linalg.inv(grid.affine)
    cut = ndimage.affine_transform(
        voxels(),
        to_index[:3, :3] @ steps,
        grid.to_index(first),
        output_shape=(layers, *plane.shape),
        order=1,
        # Not "constant": a rounding error beyond the outer pixels' centres would blank the whole outer row there.
        mode="grid-constant",
        output=np.float32,
    )
    return cut.mean(axis=0)
