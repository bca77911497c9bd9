"""The pictures of a report: where the levels are, and what each disk looks like."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bundle.disks.types import DiskReading, DiskRoi, SliceMatch
from bundle.geometry import LUMBAR_LEVELS, SlicePlane, Vertebra
from bundle.geometry.lifting import box_corners_px
from bundle.geometry.resample import resample_plane
from bundle.report.document import plane_corners_px
from bundle.report.upright import axial_view, cropped, edge_letters
from bundle.study.types import Series, Study, StudyImage
from bundle.vertebrae.view import image_plane, sagittal_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BODY_COLOR, _LINE_COLOR, _FRAME_COLOR, _NO_DISK_COLOR = "#5cc8ff", "#ffd54a", "#b8b8b8", "#9a9a9a"
_MOST_NAMED_LINES = 28  # more names than that do not fit beside the image
_MARGIN_IN = 0.28  # black frame that holds the letters, so that they cover no tissue
_SAGITTAL_IN, _DISK_IN = 5.6, 3.7  # longer side of the image area
_SPINE_SHARE, _LEAST_SHARE = 1.45, 0.6  # of the bodies' extent, and of the image, that the sagittal picture shows
_AXIAL_SIDE_MM = 180.0  # of a larger axial slice only the part around the disk is shown
_FONT_PT = 10.5


@dataclass(frozen=True, eq=False)
class _Panel:
    """One upright image: pixels (rows, columns) on ``view``, shown between two brightnesses.

    ``oriented`` is False for a plain image, of which neither sides nor millimetres are known.
    """

    pixels: NDArray[np.float32]
    view: SlicePlane
    window: tuple[float, float]
    oriented: bool


def sagittal_picture(study: Study, vertebrae: Sequence[Vertebra], disks: Sequence[DiskReading], dpi: float) -> bytes | None:
    """PNG of the mid-sagittal slice with the bodies found and the lines of the disks' chosen axial slices.

    The head is up and the front to the left; a plain image is shown as it is.

    Args:
        study: its sagittal series is shown.
        vertebrae: named bodies.
        disks: with their matches, the best first.
        dpi: pixels an inch; the image area is 5.6 inches on its longer side.

    Returns:
        None if the study has no sagittal series.

    Raises:
        StudyError: the slice cannot be decoded.
    """
    if study.sagittal is None:
        return None
    image = midsagittal_image(study.sagittal, vertebrae)
    lines = [(d.level, best.plane, _LINE_COLOR) for d in disks if (best := best_axial_image(d)) is not None]
    return _png(_sagittal_figure(image, vertebrae, lines), dpi)


def slices_picture(study: Study, vertebrae: Sequence[Vertebra], matches: Sequence[SliceMatch], dpi: float) -> bytes | None:
    """PNG of the mid-sagittal slice with the line of every axial slice: where each cuts, and the disk it was given to.

    Args:
        study: its sagittal series is shown.
        vertebrae: named bodies.
        matches: of the axial slices, numbered in their order from 1; those of no disk are grey.
        dpi: as in sagittal_picture.

    Returns:
        None if the study has no sagittal series or no axial slices, or no patient space.

    Raises:
        StudyError: the slice cannot be decoded.
    """
    if study.sagittal is None or not matches:
        return None
    image = midsagittal_image(study.sagittal, vertebrae)
    if image.plane is None:
        return None
    few = len(matches) <= _MOST_NAMED_LINES
    lines = []
    for number, match in enumerate(matches, start=1):
        name = f"{number}  {match.level or '-'}" if few else match.level or ""
        lines.append((name, match.image.plane, _LINE_COLOR if match.level else _NO_DISK_COLOR))
    return _png(_sagittal_figure(image, vertebrae, lines), dpi)


def _sagittal_figure(
    image: StudyImage, vertebrae: Sequence[Vertebra], lines: Sequence[tuple[str, SlicePlane | None, str]]
) -> Figure:
    """The slice with its bodies, and the lines (name, plane, colour) in which planes cut it."""
    bodies = {v.level: corners for v in vertebrae if (corners := _body_corners(image, v)) is not None}
    panel = _sagittal_panel(image, list(bodies.values()))
    figure, (axes,) = _figure([panel], _SAGITTAL_IN)
    for level, corners in bodies.items():
        _draw_body(axes, panel.view.to_pixel(corners), level)
    if image.plane is not None:
        _draw_lines(axes, panel.view, image.plane, lines)
    return figure


def disk_picture(reading: DiskReading, dpi: float, in_space: bool = True) -> bytes | None:
    """PNG of a disk: its best axial slice with the ROI, and its sagittal ROI; whichever there is.

    The axial slice is seen from the feet, the patient's right on the image's left.

    Args:
        reading: of the disk.
        dpi: pixels an inch; each image area is 3.7 inches on its longer side.
        in_space: whether the study has a patient space; sides and millimetres of a plain image are not known.

    Returns:
        None if the disk has neither.

    Raises:
        StudyError: a slice cannot be decoded.
    """
    axial = best_axial_image(reading)
    panels = []
    if axial is not None:
        panels.append(_axial_panel(axial, reading))
    if reading.sagittal is not None:
        panels.append(_roi_panel(reading.sagittal, in_space))
    if not panels:
        return None
    figure, axes = _figure(panels, _DISK_IN, reading.level)
    if axial is not None and reading.axial is not None:
        roi = reading.axial.plane
        _outline(axes[0], panels[0].view.to_pixel(roi.to_patient(plane_corners_px(roi.shape))), _LINE_COLOR, 1.1)
    return _png(figure, dpi)


def midsagittal_image(series: Series, vertebrae: Sequence[Vertebra]) -> StudyImage:
    """The slice nearest to the middles of the bodies; without places, the one on which most bodies were found."""
    centers = [v.center_lps_mm for v in vertebrae if v.center_lps_mm is not None]
    placed = [image for image in series.images if image.plane is not None]
    if centers and placed:
        points = np.stack(centers)
        return min(placed, key=lambda image: float(np.abs(image_plane(image).signed_distance_mm(points)).mean()))
    boxes = [box.sop_instance_uid for v in vertebrae for box in v.boxes]
    middle = (len(series.images) - 1) / 2
    index = min(range(len(series.images)), key=lambda k: (-boxes.count(series.images[k].sop_instance_uid), abs(k - middle)))
    return series.images[index]


def best_axial_image(reading: DiskReading) -> StudyImage | None:
    """The axial slice that stands for a disk: the middle one of its ROI, else its first match."""
    if reading.axial is not None:
        return reading.axial.images[len(reading.axial.images) // 2]
    return reading.matches[0].image if reading.matches else None


def _body_corners(image: StudyImage, vertebra: Vertebra) -> NDArray | None:
    """(4, 3) corners of a body on the plane of ``image``: as found on this slice, else as placed in the patient."""
    box = next((b for b in vertebra.boxes if b.sop_instance_uid == image.sop_instance_uid), None)
    if box is not None:
        return image_plane(image).to_patient(box_corners_px(box))
    return None if image.plane is None else vertebra.corners_lps_mm


def _sagittal_panel(image: StudyImage, bodies: Sequence[NDArray]) -> _Panel:
    """The slice around its bodies; much of a large field of view is air and padding."""
    plane = image_plane(image)
    pixels = image.load_pixels()
    longest_mm = max(size * spacing for size, spacing in zip(plane.shape, plane.pixel_spacing_mm, strict=True))
    view = sagittal_view(plane, max(round(longest_mm / min(plane.pixel_spacing_mm)), 1))
    if bodies:
        corners = view.to_pixel(np.concatenate(bodies))
        low, high = corners.min(0), corners.max(0)
        side_px = max(_SPINE_SHARE * float((high - low).max()), _LEAST_SHARE * max(view.shape))
        view = cropped(view, view.to_patient((low + high) / 2), side_px * view.pixel_spacing_mm[0])
    oriented = image.plane is not None
    return _Panel(resample_plane(pixels, plane, view), view, _window(pixels, oriented), oriented)


def _axial_panel(image: StudyImage, reading: DiskReading) -> _Panel:
    plane = image_plane(image)
    pixels = image.load_pixels()
    view = axial_view(plane)
    if reading.axial is not None:
        view = cropped(view, reading.axial.plane.center_lps_mm, _AXIAL_SIDE_MM)
    return _Panel(resample_plane(pixels, plane, view), view, _window(pixels, True), True)


def _roi_panel(roi: DiskRoi, oriented: bool) -> _Panel:
    middle = len(roi.images) // 2
    shown = roi.pixels[middle]
    return _Panel(shown, roi.plane, _window(shown if oriented else roi.images[middle].load_pixels(), oriented), oriented)


def _window(pixels: NDArray[np.float32], oriented: bool) -> tuple[float, float]:
    # A plain image was windowed by whoever exported it.
    low, high = np.percentile(pixels, [1, 99]) if oriented else (pixels.min(), pixels.max())
    return float(low), float(max(high, low + 1e-6))


def _figure(panels: Sequence[_Panel], longest_in: float, title: str = "") -> tuple[Figure, list[Axes]]:
    """Panels side by side on black, each in a frame with its letters; all as high as the first one's image area."""
    from matplotlib.figure import Figure

    ratios = [p.view.shape[1] / p.view.shape[0] for p in panels]  # width / height
    height = longest_in / max(1.0, ratios[0])
    widths = [height * ratio for ratio in ratios]
    total = (sum(widths) + 2 * _MARGIN_IN * len(panels), height + 2 * _MARGIN_IN)
    figure = Figure(figsize=total, facecolor="black")
    axes, x = [], _MARGIN_IN
    for panel, width in zip(panels, widths, strict=True):
        axes.append(
            figure.add_axes((x / total[0], _MARGIN_IN / total[1], width / total[0], height / total[1]), facecolor="black")
        )
        _show(axes[-1], panel)
        if panel.oriented:
            _frame(axes[-1], panel, (width, height))
        x += width + 2 * _MARGIN_IN
    if title:
        figure.text(
            _MARGIN_IN / total[0], 1 - _MARGIN_IN / 2 / total[1], title,
            color="white", fontsize=_FONT_PT + 1, fontweight="bold", va="center",
        )  # fmt: skip
    return figure, axes


def _show(axes: Axes, panel: _Panel) -> None:
    rows, columns = panel.view.shape
    low, high = panel.window
    axes.imshow(panel.pixels, cmap="gray", vmin=low, vmax=high, interpolation="bicubic", aspect="auto")
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axes.set_axis_off()


def _frame(axes: Axes, panel: _Panel, size_in: tuple[float, float]) -> None:
    """Letters around the image, and a bar of 20 mm below it."""
    x, y = (_MARGIN_IN / 2 / side for side in size_in)
    places = {"left": (-x, 0.5), "right": (1 + x, 0.5), "top": (0.5, 1 + y), "bottom": (0.5, -y)}
    style: dict[str, Any] = {"transform": axes.transAxes, "color": _FRAME_COLOR, "fontsize": _FONT_PT, "clip_on": False}
    for edge, text in edge_letters(panel.view).items():
        axes.text(*places[edge], text, ha="center", va="center", **style)
    width_mm = panel.view.shape[1] * panel.view.pixel_spacing_mm[1]
    if width_mm > 60:
        axes.plot(
            [0, 20 / width_mm], [-y, -y], transform=axes.transAxes, color=_FRAME_COLOR, linewidth=1.4, clip_on=False,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.text(20 / width_mm + x / 2, -y, "20 mm", va="center", **(style | {"fontsize": _FONT_PT - 1.5}))


def _outline(axes: Axes, points_px: NDArray, color: str, width: float, alpha: float = 1.0) -> None:
    closed = np.vstack([points_px, points_px[:1]])
    axes.plot(closed[:, 0], closed[:, 1], color=color, linewidth=width, alpha=alpha, solid_joinstyle="miter")


def _label(axes: Axes, x: float, y: float, text: str, color: str, **place: Any) -> None:
    from matplotlib import patheffects

    dark = [patheffects.withStroke(linewidth=2.0, foreground="black")]  # legible on fat and on air
    axes.text(x, y, text, color=color, fontsize=_FONT_PT, fontweight="bold", path_effects=dark, clip_on=True, **place)


def _draw_body(axes: Axes, corners_px: NDArray, level: str) -> None:
    _outline(axes, corners_px, _BODY_COLOR, 1.0, 1.0 if level in LUMBAR_LEVELS else 0.6)
    x, y = corners_px.mean(0)
    _label(axes, x, y, level, _BODY_COLOR, ha="center", va="center")


def _draw_lines(
    axes: Axes, view: SlicePlane, plane: SlicePlane, lines: Sequence[tuple[str, SlicePlane | None, str]]
) -> None:
    """Where axial planes cut the sagittal one, each named at its front end, where lordosis spreads them."""
    rows, columns = view.shape
    row_px = max(rows, columns) * _FONT_PT * 1.35 / 72 / _SAGITTAL_IN  # height of a line of text
    width_px = 3.4 * row_px  # of a level's name
    labels = []
    for name, axial, color in lines:
        met = plane.intersection(axial) if axial is not None else None
        if met is None:
            continue
        (x0, y0), (x1, y1) = sorted(view.to_pixel(np.stack(met)).tolist())
        axes.plot([x0, x1], [y0, y1], color=color, linewidth=0.9)
        slope = (y1 - y0) / max(x1 - x0, 1e-6)
        front = float(np.clip(x0, 0, max(x1, 0)))
        y = y0 + slope * (front - x0)
        if front < width_px:  # no room before the line: the name stands on it
            labels.append((y + min(0.0, slope * width_px) - 0.6 * row_px, front + 0.2 * row_px, "left", name, color))
        else:
            labels.append((y, front - 0.2 * row_px, "right", name, color))
    labels.sort()
    for (_, x, side, name, color), y in zip(labels, spread([label[0] for label in labels], row_px, rows), strict=True):
        _label(axes, x, y, name, color, ha=side, va="center")


def spread(wanted: Sequence[float], gap: float, end: float) -> list[float]:
    """Ascending positions as near to ``wanted`` (ascending) as leaves ``gap`` between neighbours, within 0 to ``end``."""
    placed: list[float] = []
    for position in wanted:
        placed.append(max(position, placed[-1] + gap if placed else gap / 2))
    limit = end - gap / 2
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], limit)
        limit = placed[k] - gap
    return placed


def _png(figure: Figure, dpi: float) -> bytes:
    """The figure as it is painted, without the alpha channel that Matplotlib would store."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    painted = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    stream = io.BytesIO()
    painted.save(stream, format="PNG", compress_level=6)  # 9 takes five times as long to save an eighth
    return stream.getvalue()
