"""T2 told from T1 by the pixels, where the headers of several sagittal series say nothing.

Cerebrospinal fluid is what the two disagree about most: in a T2 image it is a tall, thin, bright band behind the vertebral
bodies, in a T1 image a dark one. Two series of the same geometry are therefore compared: which of them has the band that is
bright beside its surroundings, and brighter than the same place in the other? A band that both show (fat under the skin, a
vessel) does not count, nor does the fall of the coil's sensitivity, since brightness is taken relative to its surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import SlicePlane
from bundle.geometry.resample import resample_plane, share_outside
from bundle.geometry.upright import BACK, FEET, upright_view
from bundle.study.choice import candidates
from bundle.study.series import SeriesFacts
from bundle.study.types import Series, StudyError, StudyImage

Picture = NDArray[np.float32]

_PIXEL_MM = 1.0
_OFF_MIDDLE_MM = (-8.0, 0.0, 8.0)  # a crooked spine leaves the middle slice
_SURROUNDINGS_MM = 25.0  # smoothing that gives the brightness around a pixel
_BAND_ALONG_MM, _BAND_ACROSS_MM = 12.0, 1.5  # smoothing along and across the band
_BESIDE_MM = 11.0  # from the middle of the canal to what lies before and behind it
_LEANS = (-0.35, -0.12, 0.12, 0.35)  # of the canal against the vertical, as a slope: lordosis
_BAND_AREA_MM2 = 800.0  # of the canal on one slice, about 100 x 8 mm
# Over SPIDER's pairs the T2 image had a band of 0.23 or more; where it was the smaller of the two, its lead was 0.1.
_MIN_BAND, _MIN_LEAD = 0.2, 0.04
# Share of the body that is at least 0.3 times as bright as its brightest pixels: 0.08 in a real STIR series, 0.18 and more
# in 488 others without fat suppression.
_BRIGHT, _MAX_FAT_SUPPRESSED_SHARE = 0.3, 0.13
_MAX_ANGLE_DEG, _MAX_AWAY_MM, _MAX_OUTSIDE = 5.0, 5.0, 0.3


def tell_t2_by_pixels(facts: Sequence[SeriesFacts]) -> list[SeriesFacts]:
    """``facts`` with the T2 series among sagittal series of unknown contrast named as such, where their pixels tell.

    Only series that show the same slices are compared, and only if no sagittal candidate's contrast is known. A series is T2
    if it leads another clearly and none leads it clearly; what is not T2 stays ``unknown``. Series that look fat-suppressed
    take no part.
    """
    found = candidates(facts, "sagittal")
    if len(found) < 2 or any(f.series.weighting != "unknown" for f in found):
        return list(facts)
    told: set[int] = set()
    for group in _same_geometry(found):
        told |= {id(f) for f in _t2_of(group)}
    return [
        replace(f, series=replace(f.series, weighting="T2"), why_weighting="its pixels") if id(f) in told else f for f in facts
    ]


def lead(first: Sequence[Picture], second: Sequence[Picture]) -> tuple[float, float]:
    """How strong the band is that ``first`` shows brighter than ``second``, and the other way round.

    Args:
        first: pictures (rows, columns) with ``_PIXEL_MM`` a pixel, head up, the back to the right or left.
        second: the same slices, of the same shape, in another contrast.

    Returns:
        Two strengths, in natural logarithms of brightness relative to the surroundings; 0 where there is no such band.
    """
    bands: tuple[list[Picture], list[Picture]] = ([], [])
    for a, b in zip(first, second, strict=True):
        (relative_a, body_a), (relative_b, body_b) = _relative(a), _relative(b)
        body = body_a & body_b
        difference = relative_a - relative_b
        for into, one, more in ((bands[0], relative_a, difference), (bands[1], relative_b, -difference)):
            into.append(np.minimum(_band(more), _band(one))[body])
    return _strength(bands[0]), _strength(bands[1])


def looks_fat_suppressed(pictures: Sequence[Picture]) -> bool:
    """Whether little but fluid is bright; ``pictures`` as in ``lead``."""
    from scipy import ndimage

    shares = []
    for picture in pictures:
        brightest = float(np.percentile(picture, 99.5))
        body = ndimage.gaussian_filter(picture, 8 / _PIXEL_MM) > 0.08 * brightest
        if brightest > 0 and body.any():
            shares.append(float((ndimage.gaussian_filter(picture, 2 / _PIXEL_MM)[body] > _BRIGHT * brightest).mean()))
    return bool(shares) and float(np.median(shares)) < _MAX_FAT_SUPPRESSED_SHARE


def _t2_of(group: Sequence[SeriesFacts]) -> list[SeriesFacts]:
    if len(group) < 2:
        return []
    views = _views(group[0].series)
    try:
        shown = [(f, [_on(f.series, view) for view in views]) for f in group]
    except StudyError:  # a file that cannot be decoded; whoever reads its series is told so
        return []
    plain = [(f, pictures) for f, pictures in shown if not looks_fat_suppressed(pictures)]
    leading: set[int] = set()
    behind: set[int] = set()
    for k, (f, pictures) in enumerate(plain):
        for g, others in plain[k + 1 :]:
            bands = lead(pictures, others)
            if max(bands) >= _MIN_BAND and abs(bands[0] - bands[1]) >= _MIN_LEAD:
                ahead, after = (f, g) if bands[0] > bands[1] else (g, f)
                leading.add(id(ahead))
                behind.add(id(after))
    return [f for f, _ in plain if id(f) in leading - behind]


def _same_geometry(found: Sequence[SeriesFacts]) -> list[list[SeriesFacts]]:
    """Candidates that show the same slices, in groups."""
    groups: list[list[SeriesFacts]] = []
    for f in sorted(found, key=lambda f: -len(f.series.images)):
        for group in groups:
            if all(_shows(f.series, view) for view in _views(group[0].series)):
                group.append(f)
                break
        else:
            groups.append([f])
    return groups


def _views(series: Series) -> list[SlicePlane]:
    """The middle slice of a series and one to either side, upright."""
    planes = [image.plane for image in series.images if image.plane is not None]
    middle = planes[len(planes) // 2]
    chosen = []
    for off in _OFF_MIDDLE_MM:
        wanted = middle.center_lps_mm + off * middle.normal
        nearest = min(planes, key=lambda plane: abs(float(plane.signed_distance_mm(wanted))))
        if all(nearest is not plane for plane in chosen):
            chosen.append(nearest)
    return [upright_view(plane, BACK, FEET, _PIXEL_MM) for plane in chosen]


def _nearest(series: Series, view: SlicePlane) -> tuple[StudyImage, SlicePlane]:
    placed = [(image, image.plane) for image in series.images if image.plane is not None]
    return min(placed, key=lambda pair: abs(float(pair[1].signed_distance_mm(view.center_lps_mm))))


def _shows(series: Series, view: SlicePlane) -> bool:
    _, plane = _nearest(series, view)
    return (
        plane.angle_deg(view.normal) <= _MAX_ANGLE_DEG
        and abs(float(plane.signed_distance_mm(view.center_lps_mm))) <= _MAX_AWAY_MM
        and share_outside(plane, view) <= _MAX_OUTSIDE
    )


def _on(series: Series, view: SlicePlane) -> Picture:
    image, plane = _nearest(series, view)
    return np.maximum(resample_plane(image.load_pixels(), plane, view), 0)


def _relative(picture: Picture) -> tuple[Picture, NDArray[np.bool_]]:
    """Logarithm of each pixel's brightness relative to its surroundings, and where there is something to see."""
    from scipy import ndimage

    around = ndimage.gaussian_filter(picture, _SURROUNDINGS_MM / _PIXEL_MM)
    floor = max(0.05 * float(np.percentile(picture, 95)), 1e-6)
    return np.log((picture + floor) / (around + floor)), around > 0.1 * np.percentile(around, 95)


def _band(picture: Picture) -> Picture:
    """How far each pixel stands out, as part of a tall thin band, from what lies before and behind it."""
    from scipy import ndimage

    sigma = (_BAND_ALONG_MM / _PIXEL_MM, _BAND_ACROSS_MM / _PIXEL_MM)
    beside = round(_BESIDE_MM / _PIXEL_MM)
    best = np.full(picture.shape, -np.inf, dtype=np.float32)
    for slope in _LEANS:
        smooth = np.pad(ndimage.gaussian_filter(_sheared(picture, slope), sigma), ((0, 0), (beside, beside)), mode="edge")
        middle = smooth[:, beside : smooth.shape[1] - beside]
        stands_out = middle - np.maximum(smooth[:, : -2 * beside], smooth[:, 2 * beside :])
        best = np.maximum(best, _sheared(stands_out, -slope))
    return best


def _sheared(picture: Picture, slope: float) -> Picture:
    from scipy import ndimage

    matrix, offset = np.array([[1.0, 0.0], [slope, 1.0]]), (0.0, -slope * picture.shape[0] / 2)
    return ndimage.affine_transform(picture, matrix, offset, order=1, mode="nearest", output=np.float32)


def _strength(bands: Sequence[Picture]) -> float:
    """Mean over the area of one canal where the band is strongest, on whichever slices."""
    values = np.maximum(np.concatenate(bands), 0) if bands else np.zeros(0)
    count = min(round(_BAND_AREA_MM2 / _PIXEL_MM**2), values.size)
    return float(np.partition(values, values.size - count)[values.size - count :].mean()) if count else 0.0
