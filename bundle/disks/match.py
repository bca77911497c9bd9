"""Step 2: every axial slice to its disk, or to none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bundle.disks.types import SliceMatch
from bundle.geometry import Disk
from bundle.study.types import StudyImage


class SliceMatcher:
    """Matches axial slices to disks by geometry, and chooses each disk's slices.

    A slice is followed to the line that runs along a disk's normal through its back part, where canal and nerve roots are.
    It belongs to the disk if it crosses that line between the disk's endplates; a slice that crosses it in a vertebral body
    belongs to none. So a slice that cuts two levels at once, being steep, is judged where it matters.

    A disk may be thinner than the step from slice to slice. One that would get no slice gets the nearest that belongs to no
    other, if it passes near enough: a slice shows tissue half its thickness away.

    Args:
        back_share: where the line stands, as a share of the way from the disk's front to its back edge.
        tolerance_mm: the middle of a slice may pass this far outside the endplates and still belong to the disk.
        near_mm: a disk without a slice gets the nearest that passes at most this far outside its endplates, about half the
            usual thickness of a slice, and never farther from its middle than the disk is high.
        max_angle_deg: a slice tilted more against the disk belongs to none. L5-S1 is often taken with the tilt of L4-L5,
            which leaves 20 to 30 degrees; tilts of 45 still count, and old fractures lean a disk by up to 8 against this.
        angle_cost_mm: in the choice of the best slice, ten degrees of tilt count as much as this many mm of distance.
    """

    def __init__(
        self,
        back_share: float = 0.75,
        tolerance_mm: float = 0.0,
        near_mm: float = 2.5,
        max_angle_deg: float = 55.0,
        angle_cost_mm: float = 0.5,
    ) -> None:
        self.back_share = float(back_share)
        self.tolerance_mm = float(tolerance_mm)
        self.near_mm = float(near_mm)
        self.max_angle_deg = float(max_angle_deg)
        self.angle_cost_mm = float(angle_cost_mm)

    def __call__(self, images: Sequence[StudyImage], disks: Mapping[str, Disk]) -> tuple[SliceMatch, ...]:
        """A match for every image that has a plane, in the images' order."""
        sliced = [(image, image.plane) for image in images if image.plane is not None]
        if not disks:
            return tuple(SliceMatch(image, None, None, None, None) for image, _ in sliced)
        if not sliced:
            return ()
        levels = list(disks)
        normals = np.stack([disks[n].normal_lps for n in levels])  # (D, 3)
        points = np.stack(
            [disks[n].front_lps_mm + self.back_share * (disks[n].back_lps_mm - disks[n].front_lps_mm) for n in levels]
        )
        reach = np.array([disks[n].height_at_mm(self.back_share) / 2 for n in levels]) + self.tolerance_mm
        plane_normals = np.stack([plane.normal for _, plane in sliced])  # (S, 3)
        origins = np.stack([plane.origin_lps_mm for _, plane in sliced])
        cosine = plane_normals @ normals.T  # (S, D)
        below = np.sum((points[None] - origins[:, None]) * plane_normals[:, None], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Millimetres along the disk's normal from its reference point up to where the slice crosses the line.
            crossing = np.where(np.abs(cosine) > 1e-3, -below / cosine, np.inf)
        angle = np.degrees(np.arccos(np.clip(np.abs(cosine), 0, 1)))
        met = np.isfinite(crossing)
        where = points[None] + np.where(met, crossing, 0.0)[..., None] * normals[None]
        on_image = np.stack([plane.contains_px(plane.to_pixel(w)) for (_, plane), w in zip(sliced, where, strict=True)])
        allowed = met & on_image & (angle <= self.max_angle_deg)
        excess = np.where(allowed, np.abs(crossing) - reach, np.inf)
        owner = np.where(excess.min(1) <= 0, excess.argmin(1), -1)  # (S,) index of the disk, -1 for none
        for d, level in enumerate(levels):
            if (owner == d).any():
                continue
            limit = min(reach[d] + self.near_mm, max(reach[d], disks[level].height_mm))
            away = np.where(allowed[:, d] & (owner < 0), np.abs(crossing[:, d]), np.inf)
            best = int(np.argmin(away))
            if away[best] <= limit:
                owner[best], excess[best, d] = d, away[best] - limit
        matches = []
        for s, (image, _) in enumerate(sliced):
            inside = int(owner[s]) if owner[s] >= 0 else int(np.argmin(excess[s]))
            nearest = inside if np.isfinite(excess[s, inside]) else int(np.argmin(np.abs(crossing[s])))
            belongs = owner[s] >= 0
            distance = float(crossing[s, nearest])
            matches.append(
                SliceMatch(
                    image,
                    levels[inside] if belongs else None,
                    distance if np.isfinite(distance) else None,
                    float(angle[s, nearest]),
                    float(abs(excess[s, nearest])) if np.isfinite(excess[s, nearest]) else None,
                )
            )
        return tuple(matches)

    def best_first(self, matches: Sequence[SliceMatch], level: str) -> tuple[SliceMatch, ...]:
        """The slices of a disk, the best first: nearest to its middle, and least tilted against it."""

        def cost(match: SliceMatch) -> float:
            return abs(match.distance_mm or 0.0) + self.angle_cost_mm * (match.angle_deg or 0.0) / 10

        return tuple(sorted((m for m in matches if m.level == level), key=cost))
