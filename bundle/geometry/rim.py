"""The rim of a disk: outline of the ring apophyses of its bodies by direction, and arcs of profiles along it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

#: Exponent of the superellipse that is the cross-section of a body and of a disk.
SUPERELLIPSE = 2.6

#: Directions of a profile, in degrees: index 180 is the patient's back, larger indices turn to the patient's left.
DIRECTIONS_DEG = np.arange(360.0) - 180.0

_COARSE, _FINE = ((np.sin(phi), np.cos(phi)) for phi in (np.radians(np.arange(-180.0, 180.0, step)) for step in (1.0, 0.25)))


@dataclass(frozen=True, eq=False)
class Rim:
    """Rim of a disk in the disk's axes (left, back, up), as seen from the disk's centre.

    Directions are true angles atan2(left, back) about the disk's centre, the middle between its front and its back edge in
    the mid-sagittal plane, not shares of the circumference's length and not a parameter of the ellipse.

    Args:
        radius_mm: (360,) distance of the rim from the centre by direction (DIRECTIONS_DEG).
        height_mm: distance of the two endplates at the centre.
        wedge: millimetres of height lost for each millimetre toward the back.
    """

    radius_mm: np.ndarray
    height_mm: float
    wedge: float = 0.0

    @classmethod
    def superellipse(
        cls, half_width_mm: float, half_depth_mm: float, height_mm: float, wedge: float = 0.0, dent_mm: float = 0.0
    ) -> Rim:
        """The rim of a phantom disk, hollow by ``dent_mm`` at the middle of its back, about its own middle.

        Sizes, height and wedge are those of the superellipse before it is hollowed; its centre is half of ``dent_mm`` behind
        the middle of the result.
        """
        # The hollow turns directions, so that a profile by degrees has to be read from a finer one.
        across, along = _FINE if dent_mm else _COARSE
        terms = np.abs(across / half_width_mm) ** SUPERELLIPSE + np.abs(along / half_depth_mm) ** SUPERELLIPSE
        radius = terms ** (-1 / SUPERELLIPSE)
        if not dent_mm:
            return cls(radius, height_mm, wedge)
        radius = radius - dent_mm * np.exp(-((radius * across / 9) ** 2)) / (1 + np.exp(-radius * along / 3))
        left, back = radius * across, radius * along + dent_mm / 2
        seen = np.interp(DIRECTIONS_DEG, np.degrees(np.arctan2(left, back)), np.hypot(left, back), period=360)
        return cls(seen, height_mm + wedge * dent_mm / 2, wedge)

    def scaled(self, share: float) -> Rim:
        """The rim of a disk of the same height, ``share`` as wide and deep."""
        return replace(self, radius_mm=self.radius_mm * share)

    def radius_at_mm(self, direction_deg: float) -> float:
        """Distance of the rim from the centre."""
        return value_at(self.radius_mm, direction_deg)

    def height_at_mm(self, direction_deg: float) -> float:
        """Height of the disk at its rim; not below 1.6 mm, the least that is left between two bodies."""
        back = self.radius_at_mm(direction_deg) * np.cos(np.radians(direction_deg))
        return float(max(self.height_mm - self.wedge * back, 1.6))

    def point_mm(self, direction_deg: float, beyond_mm: float = 0.0) -> np.ndarray:
        """(2,) left and back of the point ``beyond_mm`` outside the rim."""
        phi = np.radians(direction_deg)
        return (self.radius_at_mm(direction_deg) + beyond_mm) * np.array([np.sin(phi), np.cos(phi)])


def value_at(profile: np.ndarray, direction_deg: float) -> float:
    """A (360,) profile at any direction, linear between its degrees."""
    position = (direction_deg + 180) % 360
    low = int(position) % 360
    share = position - int(position)
    return float((1 - share) * profile[low] + share * profile[(low + 1) % 360])


def arcs_above(profile: np.ndarray, level: float) -> list[tuple[float, float]]:
    """Arcs (from, to), in degrees, over which a profile, linear between its degrees, lies above ``level``.

    ``from`` is a direction of -180 to 180, ``to`` is larger and may pass 180. The whole circle is (-180, 180).
    """
    above = profile > level
    if above.all():
        return [(-180.0, 180.0)]
    starts = np.flatnonzero(above & ~np.roll(above, 1))
    arcs = []
    for start in map(int, starts):
        length = int(np.argmin(np.roll(above, -start)))  # degrees above the level from here on
        arcs.append((_crossing(profile, start - 1, level), _crossing(profile, start + length - 1, level)))
    return arcs


def _crossing(profile: np.ndarray, index: int, level: float) -> float:
    here, there = profile[index % 360], profile[(index + 1) % 360]
    return float(index - 180 + (level - here) / (there - here))


def degrees_above(profile: np.ndarray, level: float) -> float:
    """Degrees of the circumference over which a profile lies above ``level``."""
    return sum(end - start for start, end in arcs_above(profile, level))
