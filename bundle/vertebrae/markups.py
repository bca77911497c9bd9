"""Vertebrae as what viewers draw: 3D Slicer's ROI markups, and a label map on the voxels of a volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle.geometry import BODY_LEVELS, SliceBox, SlicePlane, Stack, Vertebra
from bundle.geometry.lifting import box_corners_px
from bundle.geometry.upright import BACK, FEET, upright_view
from bundle.study.plain import slice_axes
from bundle.study.types import Series, StudyImage

#: A box has this share of the body's usual depth or more where its slice passes through the body; else through a pedicle.
_FULL_DEPTH = 0.75
#: Value of each body in a label map; 0 is background.
LABEL_VALUES: dict[str, int] = {level: k + 1 for k, level in enumerate(BODY_LEVELS)}
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


@dataclass(frozen=True, eq=False)
class RoiBox:
    """A box in patient space.

    Args:
        name: of what is in it.
        center_lps_mm: (3,) its middle.
        size_mm: (3,) its sides along ``axes``.
        axes: (3, 3) unit vectors in LPS, one a row, right-handed: toward the patient's right, front and head, as far as
            the slices allow.
        description: free text.
    """

    name: str
    center_lps_mm: NDArray[np.float64]
    size_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    description: str = ""

    def aligned_cccwhd(self) -> NDArray[np.float64]:
        """(6,) centre and sides of the smallest box along the patient's axes that holds it, LPS millimetres."""
        return np.concatenate([self.center_lps_mm, np.abs(self.axes.T) @ self.size_mm])


def body_boxes(vertebrae: Sequence[Vertebra], series: Series) -> list[RoiBox]:
    """The box of each body that has boxes on the series' slices; none in a series without a patient space.

    In the plane of the slices a box is the median of those on the slices; across them it reaches half a step beyond the
    outer slices that pass through the body.
    """
    planes = {image.sop_instance_uid: image.plane for image in series.images if image.plane is not None}
    if not planes:
        return []
    stack = Stack(tuple(planes.values()))
    half_step = (stack.step_mm if len(planes) > 1 else stack.planes[0].thickness_mm or 0.0) / 2
    return [_body_box(v, planes, half_step) for v in vertebrae if v.boxes]


def _body_box(vertebra: Vertebra, planes: Mapping[str, SlicePlane], half_step: float) -> RoiBox:
    seen = [(box, planes[box.sop_instance_uid]) for box in through_body(vertebra)]
    view = upright_view(seen[0][1], BACK, FEET, 1.0)
    axes = np.stack([-view.normal, -view.row_direction, -view.column_direction])
    # Back x feet is the patient's right where the axes of the slices are those of the patient, so R x A = S holds.
    axes[0] = np.cross(axes[1], axes[2])
    corners = np.stack([plane.to_patient(np.reshape(box.xyxy, (2, 2))) for box, plane in seen]) @ axes.T  # (N, 2, 3)
    low, high = np.median(corners.min(1), axis=0), np.median(corners.max(1), axis=0)
    low[0], high[0] = corners[..., 0].min() - half_step, corners[..., 0].max() + half_step
    return RoiBox(vertebra.level, (low + high) / 2 @ axes, high - low, axes, f"score {vertebra.score:.2f}")


def through_body(vertebra: Vertebra) -> list[SliceBox]:
    """The boxes on slices that pass through the body; farther out what is found is the narrower pedicle."""
    corners = np.stack([box_corners_px(box) for box in vertebra.boxes])
    depth = np.linalg.norm(corners[:, [1, 2]] - corners[:, [0, 3]], axis=-1).mean(1)
    full = depth >= _FULL_DEPTH * float(np.percentile(depth, 75))
    return [box for box, kept in zip(vertebra.boxes, full, strict=True) if kept]


def slicer_markups(boxes: Sequence[RoiBox]) -> dict[str, Any]:
    """ROI markups (schema 1.0.3) that 3D Slicer opens: one named ROI a box."""
    return {"@schema": _SCHEMA, "markups": [_markup(box) for box in boxes]}


def _markup(box: RoiBox) -> dict[str, Any]:
    center, orientation = np.round(box.center_lps_mm, 3).tolist(), np.round(box.axes.T, 6).ravel().tolist()
    point = {
        "id": "1",
        "label": box.name,
        "description": box.description,
        "associatedNodeID": "",
        "position": center,
        "orientation": orientation,
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }
    return {
        "type": "ROI",
        "name": box.name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N",
        "lastUsedControlPointNumber": 1,
        "roiType": "Box",
        "center": center,
        "orientation": orientation,
        "size": np.round(box.size_mm, 3).tolist(),
        "insideOut": False,
        "controlPoints": [point],
        "measurements": [],
    }


def label_map(
    vertebrae: Sequence[Vertebra], series: Series, shape: tuple[int, int, int], affine_ras: ArrayLike
) -> NDArray[np.uint8]:
    """(I, J, K) values of LABEL_VALUES where a body is, 0 elsewhere, on the voxels of the volume the series came from.

    Args:
        vertebrae: with boxes on the series' slices.
        series: of bundle.study.plain.series_of_volume.
        shape: of the volume.
        affine_ras: of the volume.
    """
    from PIL import Image, ImageDraw

    across, row_axis, column_axis = slice_axes(affine_ras)
    pictures = {image.sop_instance_uid: Image.new("L", (shape[column_axis], shape[row_axis])) for image in series.images}
    for vertebra in vertebrae:
        for box in through_body(vertebra) if vertebra.boxes else ():
            outline = [tuple(point) for point in box_corners_px(box).tolist()]
            ImageDraw.Draw(pictures[box.sop_instance_uid]).polygon(outline, fill=LABEL_VALUES[vertebra.level])
    labels = np.zeros(shape, dtype=np.uint8)
    for image in series.images:
        where: list[Any] = [slice(None)] * 3
        where[across] = slice_number(image)
        labels[tuple(where)] = np.asarray(pictures[image.sop_instance_uid]).T
    return labels


def slice_number(image: StudyImage) -> int:
    """Index of an image of bundle.study.plain.series_of_volume across the volume."""
    return int(image.sop_instance_uid.rpartition("#")[2]) - 1
