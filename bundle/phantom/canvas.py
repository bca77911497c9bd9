"""Tissue at the points of planes: what solids paint on, in the order in which tissues lie over one another."""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.phantom.tiles import SIDE, Tiles
from bundle.phantom.tissues import TISSUES

_EDGE_MM = 0.35  # half width of the soft edge between two tissues


def soft(depth_mm: Tensor) -> Tensor:
    """Share of a point that is inside, from its depth below the surface."""
    return torch.sigmoid(depth_mm / _EDGE_MM)


def rounded(a: Tensor, b: Tensor, radius_mm: float | Tensor) -> Tensor:
    """Depth inside the intersection of two solids with depths ``a`` and ``b``, its edge rounded."""
    p, q = radius_mm - a, radius_mm - b
    return radius_mm - torch.where((p > 0) & (q > 0), torch.sqrt(p * p + q * q), torch.maximum(p, q))


def deepest(tiles: Tensor, depth_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Union of solids: the tiles that any of them touches, each once, and the largest depth at each of their points.

    Args:
        tiles: (P,) tile of each pair of tile and solid.
        depth_mm: (P, points) depth inside that solid.
    """
    once, place = torch.unique(tiles, return_inverse=True)
    best = depth_mm.new_full((len(once), depth_mm.shape[1]), -1e4)
    return once, best.scatter_reduce_(0, place[:, None].expand_as(depth_mm), depth_mm, "amax")


class Canvas:
    """Brightness of a batch of planes, in one or more channels.

    Painting is linear: with the identity matrix as ``contrasts`` the channels are the tissues' fractions, with (C, tissues)
    brightness they are C images, each equal to contrasts @ fractions.

    Args:
        tiles: the points.
        contrasts: (B, C, len(TISSUES)) brightness of each tissue, for each plane.
    """

    def __init__(self, tiles: Tiles, contrasts: Tensor) -> None:
        if contrasts.ndim != 3 or len(contrasts) != tiles.batch or contrasts.shape[2] != len(TISSUES):
            raise ValueError(
                f"contrasts are ({tiles.batch}, channels, {len(TISSUES)} tissues), not {tuple(contrasts.shape)}"
            )
        self.tiles = tiles
        self._colors = contrasts.to(tiles.device, torch.float32).permute(2, 0, 1)[:, tiles.owner]  # (tissues, tiles, C)
        air = self._colors[TISSUES.index("air")]
        self._values = air[..., None].expand(-1, -1, SIDE * SIDE).clone()  # (tiles, C, points)

    def paint(self, tiles: Tensor, inside: Tensor, tissue: str) -> None:
        """Cover points of ``tiles`` (n,), each named once, with ``tissue`` to the share ``inside`` (n, points)."""
        color = self._colors[TISSUES.index(tissue), tiles][..., None]
        part = self._values[tiles]
        self._values[tiles] = torch.lerp(part, color.expand_as(part), inside[:, None].expand_as(part))

    def image(self) -> Tensor:
        """(B, C, rows, columns); of single points (N, C)."""
        return self.tiles.image(self._values)
