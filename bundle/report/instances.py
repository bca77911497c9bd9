"""What the DICOM objects of a report have in common: the software that made them, and series of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import generate_uid

SOFTWARE = "Lumbar disk bundle"
NOTICE = "Automated reading for research. Not for diagnostic use."
BODY_PART = "LSPINE"
UTF_8 = "ISO_IR 192"


def new_uid() -> str:
    """A UID that was never used before (``2.25`` and a random number)."""
    return str(generate_uid(prefix=None))


@dataclass(frozen=True)
class NewSeries:
    """A series that is added to the study: one for each kind of object, as DICOM wants one modality in a series.

    Args:
        number: Series Number; high, so that viewers list it behind the images.
        description: Series Description.
        uid: Series Instance UID.
    """

    number: int
    description: str
    uid: str = field(default_factory=new_uid)

    def attributes(self, document: Mapping[str, Any], instance_number: int = 1) -> dict[str, Any]:
        """Arguments of highdicom's constructors for a new instance in this series."""
        return {
            "series_instance_uid": self.uid,
            "series_number": self.number,
            "series_description": self.description,
            "sop_instance_uid": new_uid(),
            "instance_number": instance_number,
            "manufacturer": SOFTWARE,
            "manufacturer_model_name": SOFTWARE,
            "software_versions": str(document["model"]["version"]),
            "specific_character_set": UTF_8,
        }
