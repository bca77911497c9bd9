"""How vertebrae stand to one another: slip of neighbours, lordosis, slope of the sacrum."""

from __future__ import annotations

import numpy as np

from bundle.geometry import unit
from bundle.phantom.shapes import Body, Spine


def slip_mm(upper: Body, lower: Body) -> float:
    """How far the upper body has slipped forward on the lower one (negative: backward).

    As it is measured in the middle sagittal slice: from the lower body's upper back corner to the upper body's lower back
    corner, along the lower body's upper endplate.
    """
    corner = upper.corners_lps_mm()[2]
    front, back = lower.corners_lps_mm()[:2]
    return float((corner - back) @ unit(front - back))


def lordosis_deg(spine: Spine) -> float:
    """Lumbar lordosis: angle between the upper endplates of L1 and S1 in the sagittal plane, positive if lordotic (Cobb)."""
    return _slope_deg(spine.body("S1")) - _slope_deg(spine.body("L1"))


def sacral_slope_deg(spine: Spine) -> float:
    """Angle of the upper endplate of S1 to the transverse plane, positive if it falls forward."""
    return _slope_deg(spine.body("S1"))


def _slope_deg(body: Body) -> float:
    """How far a body's upper endplate falls toward the front, in the sagittal plane."""
    front, back = body.corners_lps_mm()[:2]
    away = back - front
    return float(np.degrees(np.arctan2(away[2], away[1])))
