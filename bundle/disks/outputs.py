"""What the classifier gives for a disk, and where each part stands among its channels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from torch import Tensor

from bundle.geometry import FINDINGS

#: Directions of ``rim`` and ``excess`` about the disk's centre: every 15 degrees from -180; 0 is the back, positive to the
#: patient's left.
PROFILE_DIRECTIONS = 24

#: Name and width of each part, in order. ``findings``: logits of FINDINGS. ``flags``: logits that the disk bulges, and that
#: it is herniated. ``pfirrmann``: logits of the grades 1 to 5. The others are lengths in centimetres, near 1 so that they
#: weigh alike: ``rim`` and ``excess`` (the disk's outline: distance of the rim from the disk's centre, and of the outline
#: beyond it), ``center`` (the disk's centre in the axial ROI, from the ROI's centre to the patient's left and back),
#: ``measures`` (reach beyond the rim, base of a herniation, its reach above or below the disk, its tip's distance to the
#: left).
PARTS: Mapping[str, int] = {
    "findings": len(FINDINGS),
    "flags": 2,
    "pfirrmann": 5,
    "rim": PROFILE_DIRECTIONS,
    "excess": PROFILE_DIRECTIONS,
    "center": 2,
    "measures": 4,
}
CHANNELS = sum(PARTS.values())
#: Those that are lengths.
LENGTHS: tuple[str, ...] = ("rim", "excess", "center", "measures")
MM_PER_UNIT = 10.0


def split_outputs(outputs: Tensor) -> dict[str, Tensor]:
    """(B, CHANNELS) -> part -> (B, width). A network of three channels has ``findings`` alone.

    Raises:
        ValueError: another number of channels.
    """
    if outputs.shape[1] == PARTS["findings"]:
        return {"findings": outputs}
    if outputs.shape[1] != CHANNELS:
        raise ValueError(f"the classifier gives {outputs.shape[1]} channels, not {PARTS['findings']} or {CHANNELS}")
    return dict(zip(PARTS, torch.split(outputs, list(PARTS.values()), dim=1), strict=True))


class FillTargetsd(Transform):
    """Gives an item every target of the loss, unknown where it has none, so that items of any source can be one batch.

    Unknown is nan; a ``pfirrmann`` of 0; and ``readers``, the shares of readers who call the disk each of FINDINGS, which
    are 1 for its ``label``.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with all targets."""
        item = dict(data)
        item.setdefault("readers", torch.eye(len(FINDINGS))[int(item["label"])])
        item.setdefault("pfirrmann", 0)
        for name in ("flags", *LENGTHS):
            item.setdefault(name, torch.full((PARTS[name],), torch.nan))
        for name in ("label", "level", "patient", "pfirrmann"):
            item[name] = int(item[name])
        return {name: item[name] for name in item if name in _KEPT}


class RandReaderd(Randomizable, Transform):
    """Puts the word of one reader, drawn from ``readers``, in place of the label by the rule.

    Readers differ near the borders of the definitions; on a phantom the shares of each class are known.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with another ``label``, where the reader differs."""
        shares = np.asarray(data["readers"], dtype=np.float64)
        return {**data, "label": int(self.R.choice(len(shares), p=shares / shares.sum()))}


_KEPT = frozenset({"image", "axial", "sagittal", "label", "level", "patient", "readers", "pfirrmann", "flags", *LENGTHS})
