"""What a report says, as codes: levels, findings, probabilities, measurements. DICOM SR and FHIR share these tables.

Schemes: SNOMED CT (``SCT``) for anatomy, as DICOM PS3.16 lists it in CID 7603 (vertebrae) and CID 7604 (disks); DICOM
(``DCM``); UCUM for units; RadElement (``RADELEMENT``), set RDES300 "MR Lumbar Degenerative Disc Disease", for the
morphology of a disk; and the bundle's own ``99LUMBARDISK`` for what these lack. No SNOMED CT code of a disorder is used:
public sources contradict each other.

RadElement could not be asked itself. Its set RDES300 and the number of the element "Disc morphology" stand in the Open
Imaging Finding Models (github.com/hoodcm/oifm-definitions: ``RADELEMENT RDES300``, ``OIFMA_CDE_001518``), whose numbers are
RSNA's own where both are public (RDES195, RDE1301 "Composition"). The codes of single values do not follow from there
(public examples contradict the order of the list for RDE1304), so values are coded in the bundle's scheme, with RadElement's
words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

PRIVATE_SCHEME = "99LUMBARDISK"
PRIVATE_SCHEME_NAME = "Lumbar disk bundle"


class Coded(NamedTuple):
    """A code, the designator of its scheme, and its words (English, at most 64 characters)."""

    value: str
    scheme: str
    meaning: str


def private(value: str, meaning: str) -> Coded:
    """A code of the bundle's own scheme."""
    return Coded(value, PRIVATE_SCHEME, meaning)


#: The intervertebral disks, DICOM CID 7604.
DISKS: dict[str, Coded] = {
    "T11-T12": Coded("1537001", "SCT", "T11/T12 disc"),
    "T12-L1": Coded("76206002", "SCT", "T12/L1 disc"),
    "L1-L2": Coded("80064006", "SCT", "L1/L2 disc"),
    "L2-L3": Coded("67459009", "SCT", "L2/L3 disc"),
    "L3-L4": Coded("62551000", "SCT", "L3/L4 disc"),
    "L4-L5": Coded("84020006", "SCT", "L4/L5 disc"),
    "L5-S1": Coded("715056000", "SCT", "L5/S1 disc"),
}
#: The vertebrae, DICOM CID 7603. The sacral ones are not in it: they are coded as the sacrum, and told apart by ``LEVEL``.
VERTEBRAE: dict[str, Coded] = {
    "T9": Coded("82687006", "SCT", "T9 vertebra"),
    "T10": Coded("7610001", "SCT", "T10 vertebra"),
    "T11": Coded("12989004", "SCT", "T11 vertebra"),
    "T12": Coded("23215003", "SCT", "T12 vertebra"),
    "L1": Coded("66794005", "SCT", "L1 vertebra"),
    "L2": Coded("14293000", "SCT", "L2 vertebra"),
    "L3": Coded("36470004", "SCT", "L3 vertebra"),
    "L4": Coded("11994002", "SCT", "L4 vertebra"),
    "L5": Coded("49668003", "SCT", "L5 vertebra"),
    "S1": Coded("54735007", "SCT", "Sacrum"),
    "S2": Coded("54735007", "SCT", "Sacrum"),
    "S3": Coded("54735007", "SCT", "Sacrum"),
}
#: Where a level has no code, such as an L6 or a disk next to it.
LUMBAR_SPINE = Coded("122496007", "SCT", "Lumbar spine")

#: The set that the element and its values belong to.
ELEMENT_SET = Coded("RDES300", "RADELEMENT", "MR Lumbar Degenerative Disc Disease")
DISC_MORPHOLOGY = Coded("RDE1518", "RADELEMENT", "Disc morphology")
#: In the words of RadElement's list as far as they fit: it has three kinds of bulging and fourteen of protrusion and
#: extrusion, told apart by side and zone, where a reading says no more than "bulge" and "herniation".
MORPHOLOGY: dict[str, Coded] = {
    "normal": private("morph-normal", "normal"),
    "bulge": private("morph-bulging", "bulging, diffusely or asymmetrically"),
    "herniation": private("morph-herniated", "protrusion or extrusion, not told apart"),
}

#: The classes of a reading, after Fardon et al., Spine J 2014;14:2525; None for a disk that was not judged.
FINDINGS: dict[str | None, Coded] = {
    "normal": private("normal", "Disk normal: within the vertebral rims"),
    "bulge": private("bulge", "Disk bulge: beyond the rims over more than 90 degrees"),
    "herniation": private("herniation", "Disk herniation: displaced over less than 90 degrees"),
    None: private("not-judged", "Disk not judged"),
}
PROBABILITIES: dict[str, Coded] = {
    "normal": private("p-normal", "Probability of a normal disk"),
    "bulge": private("p-bulge", "Probability of a bulge"),
    "herniation": private("p-herniation", "Probability of a herniation"),
}
VERTEBRAL_BODY = private("vertebral-body", "Vertebral body")
SCORE = private("score", "Score of the detection")
SLICE_DISTANCE = private("slice-distance", "Distance of the axial slice from the disk's middle")
SLICE_ANGLE = private("slice-angle", "Angle between the axial slice and the disk")

ELEMENTS = private("element-set", "Common data elements")
LEVEL = private("level", "Level")
MACHINE_LEVEL = private("machine-level", "Level as the software named it")
MACHINE_FINDING = private("machine-finding", "Finding of the software")
READER_FINDING = private("reader-finding", "Finding of the reading person")
CONFIRMED = private("confirmed", "Confirmed by the reading person")
FLAG = private("flag", "Remark of the software")
PFIRRMANN = private("pfirrmann", "Pfirrmann grade")
OUTLINE_FINDING = private("outline-finding", "Finding by the definition, from the outline")
OUTLINE_ZONE = private("outline-zone", "By the outline: zone of the focal part")
OUTLINE_SIDE = private("outline-side", "By the outline: side of the focal part")

YES = Coded("373066001", "SCT", "Yes")
NO = Coded("373067005", "SCT", "No")

#: Zones of a displacement, after Fardon et al.; public lists of SNOMED CT at hand have no codes for them.
ZONES: dict[str, Coded] = {
    "central": private("zone-central", "Central zone"),
    "subarticular": private("zone-subarticular", "Subarticular zone"),
    "foraminal": private("zone-foraminal", "Foraminal zone"),
    "extraforaminal": private("zone-extraforaminal", "Extraforaminal zone"),
    "anterior": private("zone-anterior", "Anterior zone"),
}
SIDES: dict[str, Coded] = {
    "left": Coded("7771000", "SCT", "Left"),
    "right": Coded("24028007", "SCT", "Right"),
    "middle": Coded("261129000", "SCT", "Midline"),
}

NO_UNITS = Coded("1", "UCUM", "no units")
#: Unit by the end of a measurement's name in ``report.json``; the longest that fits counts.
UNITS: dict[str, Coded] = {
    "_mm": Coded("mm", "UCUM", "mm"),
    "_mm2": Coded("mm2", "UCUM", "square millimeter"),
    "_mm3": Coded("mm3", "UCUM", "cubic millimeter"),
    "_deg": Coded("deg", "UCUM", "degree"),
    "_percent": Coded("%", "UCUM", "Percent"),
    "_ratio": Coded("{ratio}", "UCUM", "ratio"),
    "_share": Coded("{ratio}", "UCUM", "ratio"),
    "_index": Coded("{ratio}", "UCUM", "ratio"),
}
#: Names of measurements that have better words than their key's.
_MEASUREMENTS: dict[str, Coded] = {
    "height_mm": private("height", "Height of the disk"),
    "height_index": private("height-index", "Height of the disk by that of the body above"),
    "slip_mm": private("slip", "Slip of the body above, forward"),
    "slip_share": private("slip-share", "Slip of the body above, by the depth of the body below"),
    "lordosis_deg": private("lordosis", "Lordosis L1-S1, between the upper endplates"),
    "reach_mm": private("outline-reach", "By the outline: greatest distance beyond the rim"),
    "beyond_rim_deg": private("outline-beyond-rim", "By the outline: circumference beyond the rim"),
    "extent_mm": private("outline-extent", "By the outline: extent of the focal part"),
    "base_mm": private("outline-base", "By the outline: base of the focal part"),
    "arc_deg": private("outline-arc", "By the outline: circumference of the focal part"),
}
#: Parts of an entry that hold measurements themselves.
_GROUPS = ("measurements", "outline", "focal")


class Quantity(NamedTuple):
    """One number of a report with its name and unit as codes."""

    name: Coded
    value: float
    unit: Coded


def level_of_disk(level: str) -> Coded:
    """The anatomy of a disk's level; the lumbar spine where it has no code of its own."""
    return DISKS.get(level, LUMBAR_SPINE)


def level_of_vertebra(level: str) -> Coded:
    """The anatomy of a vertebra's level; the lumbar spine where it has no code of its own."""
    return VERTEBRAE.get(level, LUMBAR_SPINE)


def level_name(level: str) -> Coded:
    """A level's name as a code, for what the anatomy does not tell (S1 from S2, an L6)."""
    return private(level, level)


def pfirrmann_grade(grade: int) -> Coded:
    """The grade of a disk's wear, 1 to 5, as a code."""
    return private(f"pfirrmann-{grade}", f"Pfirrmann grade {grade}")


def evaluations(disk: Mapping[str, Any]) -> Iterator[tuple[Coded, Coded]]:
    """What a disk of the document says in words beside its finding and its flags, as (name, value)."""
    if disk.get("pfirrmann") is not None:
        yield PFIRRMANN, pfirrmann_grade(disk["pfirrmann"])
    outline = disk.get("outline")
    if outline is None:
        return
    yield OUTLINE_FINDING, FINDINGS[outline["finding"]]
    if outline["focal"] is not None:
        yield OUTLINE_ZONE, ZONES[outline["focal"]["zone"]]
        yield OUTLINE_SIDE, SIDES[outline["focal"]["side"]]


def flag_code(flag: str) -> Coded:
    """A flag of ``report.json`` as a code."""
    return private(flag, flag.replace("_", " ")[:64])


def quantities(entry: Mapping[str, Any]) -> Iterator[Quantity]:
    """The measurements of a disk, a vertebra or a whole reading, in the document's order.

    Whatever number has a name that ends in a unit (``height_mm``) is one, in ``entry`` itself and in its
    ``measurements`` and its ``outline``.
    """
    for key, value in entry.items():
        if key in _GROUPS and isinstance(value, Mapping):
            yield from quantities(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            suffix = max((end for end in UNITS if key.endswith(end)), key=len, default=None)
            if suffix is not None:
                words = key[: -len(suffix)].replace("_", " ").capitalize()
                name = _MEASUREMENTS.get(key) or private(key[: -len(suffix)].replace("_", "-"), words[:64])
                yield Quantity(name, float(value), UNITS[suffix])
