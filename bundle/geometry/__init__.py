"""Patient space: planes, stacks, boxes, vertebrae and disks. LPS millimetres, float64. Knows no DICOM and no network."""

from bundle.geometry.planes import SlicePlane, angle_between_deg, unit
from bundle.geometry.spine import (
    BODY_LEVELS,
    DISK_LEVELS,
    FINDINGS,
    LUMBAR_LEVELS,
    Disk,
    SliceBox,
    Vertebra,
    disk_level,
)
from bundle.geometry.stacks import SAME_PLACE_MM, Stack, group_into_stacks, plane_positions_mm
from bundle.geometry.volume import VolumeGrid

__all__ = [
    "BODY_LEVELS",
    "DISK_LEVELS",
    "FINDINGS",
    "LUMBAR_LEVELS",
    "SAME_PLACE_MM",
    "Disk",
    "SliceBox",
    "SlicePlane",
    "Stack",
    "Vertebra",
    "VolumeGrid",
    "angle_between_deg",
    "disk_level",
    "group_into_stacks",
    "plane_positions_mm",
    "unit",
]
