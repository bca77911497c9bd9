"""T2 told from T1 by the pixels, where the headers of several sagittal series say nothing.

Cerebrospinal fluid is what the two disagree about most: in a T2 image it is a tall, thin, bright band behind the vertebral
bodies, in a T1 image a dark one. Two series of the same geometry are therefore compared: which of them has the band that is
bright beside its surroundings, and brighter than the same place in the other? A band that both show (fat under the skin, a
vessel) does not count, nor does the fall of the coil's sensitivity, since brightness is taken relative to its surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import SlicePlane
from bundle.geometry.resample import resample_plane, share_outside
from bundle.geometry.upright import BACK, FEET, upright_view
from bundle.study.choice import candidates
from bundle.study.series import SeriesFacts
from bundle.study.types import Series, StudyError, StudyImage

Picture = NDArray[np.float32]

#: What ``why_weighting`` says of a contrast that was told by pixels.
BY_PIXELS = "its pixels"

_PIXEL_MM = 1.0
_OFF_MIDDLE_MM = (-8.0, 0.0, 8.0)  # a crooked spine leaves the middle slice
_SURROUNDINGS_MM = 25.0  # smoothing that gives the brightness around a pixel
_BAND_ALONG_MM, _BAND_ACROSS_MM = 12.0, 1.5  # smoothing along and across the band
_BESIDE_MM = 11.0  # from the middle of the canal to what lies before and behind it
_LEANS = (-0.35, -0.12, 0.12, 0.35)  # of the canal against the vertical, as a slope: lordosis
_BAND_AREA_MM2 = 800.0  # of the canal on one slice, about 100 x 8 mm
# Of SPIDER's 158 pairs of one field of view these bounds tell 156 right and 2 not at all. The band of the T2 image was 0.23
# or more (0.61 in the median); an image beside itself with other gain, shading and noise kept half of its contrast or more.
_MIN_BAND, _MIN_LEAD, _MAX_KEPT = 0.2, 0.04, 0.4
# Share of the body that is at least 0.3 times as bright as its brightest pixels: 0.08 in a real STIR series, 0.18 and more
# in 448 others without fat suppression.
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
        replace(f, series=replace(f.series, weighting="T2"), why_weighting=BY_PIXELS) if id(f) in told else f for f in facts
    ]


@dataclass(frozen=True)
class Band:
    """The tall thin band that one series shows brighter than another.

    Args:
        strength: how far it stands out there, in natural logarithms of relative brightness; 0 where there is none.
        kept: share of its contrast that the other series shows at the same place; negative where it is dark there.
    """

    strength: float
    kept: float


def brighter_bands(first: Sequence[Picture], second: Sequence[Picture]) -> tuple[Band, Band]:
    """The band that ``first`` shows brighter than ``second``, and the other way round, each on the slice that shows it best.

    Args:
        first: pictures (rows, columns) with 1 mm a pixel, head up, front to the left, not negative.
        second: the same slices, of the same shape, in another contrast.
    """
    best = [Band(0.0, 1.0), Band(0.0, 1.0)]
    for a, b in zip(first, second, strict=True):
        (relative_a, body_a), (relative_b, body_b) = _relative(a), _relative(b)
        for k, (one, other) in enumerate(((relative_a, relative_b), (relative_b, relative_a))):
            band = _band_in(one, other, body_a & body_b)
            if band.strength > best[k].strength:
                best[k] = band
    return best[0], best[1]


def is_clear(band: Band, back: Band) -> bool:
    """Whether ``band`` says that its series is T2 beside the other, which shows ``back``."""
    return band.strength >= _MIN_BAND and band.strength - back.strength >= _MIN_LEAD and band.kept <= _MAX_KEPT


def looks_fat_suppressed(pictures: Sequence[Picture]) -> bool:
    """Whether little but fluid is bright; ``pictures`` as in ``brighter_bands``."""
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
            band, back = brighter_bands(pictures, others)
            for ahead, after, clear in ((f, g, is_clear(band, back)), (g, f, is_clear(back, band))):
                if clear:
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
    chosen: list[SlicePlane] = []
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


def _band_in(one: Picture, other: Picture, body: NDArray[np.bool_]) -> Band:
    """The band of ``one`` that is brighter than in ``other``: its place is where a canal's area stands out most."""
    count = min(round(_BAND_AREA_MM2 / _PIXEL_MM**2), int(body.sum()))
    if not count:
        return Band(0.0, 1.0)
    stands_out = np.where(body, np.minimum(_band(one - other), _band(one)), -np.inf).ravel()
    place = np.argpartition(stands_out, stands_out.size - count)[stands_out.size - count :]
    own, others = (float(_contrast(picture).ravel()[place].mean()) for picture in (one, other))
    return Band(float(np.maximum(stands_out[place], 0).mean()), others / own if own > 0 else 1.0)


def _contrast(picture: Picture) -> Picture:
    """Difference of each pixel from the mean of what lies before and behind it."""
    before, middle, behind = _beside(picture, 0.7 * _BAND_ALONG_MM)
    return np.asarray(middle - (before + behind) / 2, dtype=np.float32)


def _beside(picture: Picture, along_mm: float) -> tuple[Picture, Picture, Picture]:
    """``picture`` smoothed along the band, and moved by half a band's surroundings to either side."""
    from scipy import ndimage

    sigma = (along_mm / _PIXEL_MM, _BAND_ACROSS_MM / _PIXEL_MM)
    smooth: Picture = ndimage.gaussian_filter(picture, sigma)
    off = round(_BESIDE_MM / _PIXEL_MM)
    padded = np.pad(smooth, ((0, 0), (off, off)), mode="edge")
    return padded[:, : -2 * off], smooth, padded[:, 2 * off :]


def _band(picture: Picture) -> Picture:
    """How far each pixel stands out, as part of a tall thin band, from what lies before and behind it."""
    best = np.full(picture.shape, -np.inf, dtype=np.float32)
    for slope in _LEANS:
        before, middle, behind = _beside(_sheared(picture, slope), _BAND_ALONG_MM)
        best = np.maximum(best, _sheared(middle - np.maximum(before, behind), -slope))
    return best


def _sheared(picture: Picture, slope: float) -> Picture:
    from scipy import ndimage

    matrix, offset = np.array([[1.0, 0.0], [slope, 1.0]]), (0.0, -slope * picture.shape[0] / 2)
    return ndimage.affine_transform(picture, matrix, offset, order=1, mode="nearest", output=np.float32)
