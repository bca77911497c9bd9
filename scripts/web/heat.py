"""Heat maps as pictures to lay over the squares that were judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FULL = 0.5  # a probability that falls so far is shown as strongly as can be
_MOST_OPAQUE = 0.7


def heat_file(level: str, view: str) -> str:
    """A map's file in the report's folder."""
    return f"heat_{level}_{view}.png"


def write_heat_maps(maps: Mapping[tuple[str, str], NDArray[np.float32]], folder: Path) -> None:
    """Write each map as a PNG, clear where the classifier does not mind and glowing where it does.

    Args:
        maps: (level, view) -> (size, size), how far the finding's probability falls when the place is hidden.
        folder: of the report.
    """
    from matplotlib import colormaps
    from PIL import Image

    for (level, view), falls in maps.items():
        strength = np.clip(falls / _FULL, 0, 1)
        coloured = colormaps["inferno"](0.35 + 0.65 * strength)
        coloured[..., 3] = _MOST_OPAQUE * strength
        Image.fromarray((coloured * 255).round().astype(np.uint8), "RGBA").save(folder / heat_file(level, view))
