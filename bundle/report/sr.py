"""The reading as a DICOM Comprehensive 3D SR, template TID 1500 "Measurement Report" (PS3.16), by highdicom.

Each disk is a measurement group (TID 1410 with the ROI as an image region, TID 1501 where no image can be referred to) with
its level in SNOMED CT, its finding, the probabilities, the measurements and the flags; each vertebra another. Where a person
has reviewed the reading, "Finding" and finding site are the person's, and the machine's stand beside them. Only a signed
report is VERIFIED. There is no image library (it is optional): it would put pages of image headers before the findings in
every viewer that shows the tree as text; the images that were read are in the evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import highdicom.sr as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from pydicom.valuerep import DT

from bundle.report import coding
from bundle.report.coding import Coded
from bundle.report.evidence import Evidence, Place, box_corners, inside
from bundle.report.instances import NOTICE, SOFTWARE, NewSeries
from bundle.report.review import FinalDisk, FinalReading, FinalVertebra, final_reading
from bundle.report.texts import load_texts

_QUALITATIVE_EVALUATIONS = Coded("C0034375", "UMLS", "Qualitative Evaluations")
_COMMENT = Coded("121106", "DCM", "Comment")
#: Why a region is not on the axial image that was judged.
_ELSEWHERE = "The axial region is on a slice that is in no file (cut from a 3-D series); the sagittal region is given."
_CUT = "The region lies on a slice that is in no file (cut from a 3-D series); it is given in the patient's coordinates."
_NOWHERE = "The region lies on an image that cannot be referred to; it is left out."
_RADELEMENT_UID = "1.2.840.10008.2.16.15"


def structured_report(
    document: Mapping[str, Any], evidence: Evidence, series: NewSeries, organization: str | None = None
) -> hd.Comprehensive3DSR:
    """The document as a structured report of the study that was read.

    Args:
        document: ``report.json``, valid; with a review where there is one.
        evidence: images of the study, at least one.
        series: the new series.
        organization: of the person who verifies; default the institution in the images' headers.

    Returns:
        UNVERIFIED, or VERIFIED with the reader's name and time where the review is signed.
    """
    reading = final_reading(document)
    report = hd.MeasurementReport(
        observation_context=_observers(document, reading),
        procedure_reported=codes.cid100.MRIUnspecifiedBodyRegion,
        imaging_measurements=[*_disk_groups(document, evidence, reading), *_vertebra_groups(document, evidence, reading)],
        title=codes.cid7021.ImagingMeasurementReport,
    )
    report[0].ContentSequence.append(_study_remarks(document, reading))
    _name_every_value(report[0])
    verifier = organization or str(evidence.headers[0].get("InstitutionName", "")) or "unknown"
    sr = hd.Comprehensive3DSR(
        evidence=evidence.headers,
        content=report[0],
        is_complete=True,
        is_final=reading.signed,
        is_verified=reading.signed,
        verifying_observer_name=_person(reading.reader) if reading.signed else None,
        verifying_organization=verifier if reading.signed else None,
        coding_schemes=_schemes(),
        **series.attributes(document),
    )
    if reading.signed and reading.signed_at is not None:
        sr.VerifyingObserverSequence[0].VerificationDateTime = _date_time(reading.signed_at)
    return sr


def _name_every_value(item: Dataset) -> None:
    """Containers of SEPARATE items: viewers would run CONTINUOUS ones together as prose, numbers without their names."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", []):
        _name_every_value(child)


def _said(reader: str, words: str) -> str:
    return f"{' '.join(reader.replace('^', ' ').split()) or 'Reader'}: {words}"


def _code(coded: Coded) -> hd.CodedConcept:
    return hd.CodedConcept(coded.value, coded.scheme, coded.meaning)


def _person(name: str) -> str:
    """A reader's name as a DICOM person name: a name without ``^`` is one of the family-name component."""
    return name.replace("\\", " ").replace("=", " ").strip() or "unknown"


def _date_time(iso: str) -> DT:
    moment = datetime.fromisoformat(iso)
    return DT(moment.strftime("%Y%m%d%H%M%S") + (moment.strftime("%z")[:5] if moment.tzinfo else ""))


def _schemes() -> list[Any]:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return [
        CodingSchemeIdentificationItem(
            "RADELEMENT", name="RadElement", registry="HL7", uid=_RADELEMENT_UID, responsible_organization="RSNA"
        ),
        CodingSchemeIdentificationItem(
            coding.PRIVATE_SCHEME, name=coding.PRIVATE_SCHEME_NAME, responsible_organization=coding.PRIVATE_SCHEME_NAME
        ),
    ]


def _stable_uid(document: Mapping[str, Any], *names: str) -> str:
    """The same UID for the same thing of the same study, so that a disk can be followed from one report to the next."""
    parts = ["lumbar-disk-bundle tracking", document["study"]["study_instance_uid"], *names]
    return str(generate_uid(entropy_srcs=["/".join(parts)]))


def _observers(document: Mapping[str, Any], reading: FinalReading) -> hd.ObservationContext:
    model = document["model"]
    hashes = "/".join(f"{name} {value}" for name, value in sorted(model["weights_sha256"].items()))
    device = hd.ObserverContext(
        codes.cid270.Device,
        hd.DeviceObserverIdentifyingAttributes(
            uid=str(generate_uid(entropy_srcs=[f"lumbar-disk-bundle device/{model['version']}/{hashes}"])),
            name=SOFTWARE,
            manufacturer_name=SOFTWARE,
            model_name=f"{SOFTWARE} {model['version']}",
        ),
    )
    if not reading.reader:
        return hd.ObservationContext(observer_device_context=device)
    person = hd.ObserverContext(codes.cid270.Person, hd.PersonObserverIdentifyingAttributes(name=_person(reading.reader)))
    return hd.ObservationContext(observer_person_context=person, observer_device_context=device)


def _algorithm(document: Mapping[str, Any]) -> hd.AlgorithmIdentification:
    model = document["model"]
    return hd.AlgorithmIdentification(
        name=SOFTWARE,
        version=str(model["version"]),
        parameters=[f"weights of {name}: SHA-256 {value}" for name, value in model["weights_sha256"].items()],
    )


def _disk_groups(document: Mapping[str, Any], evidence: Evidence, reading: FinalReading) -> Iterator[Any]:
    texts = load_texts("en")
    matches = {match["sop_instance_uid"]: match for match in document["axial_slices"]}
    for disk, final in zip(document["disks"], reading.disks, strict=True):
        region, why_none = _disk_region(disk, evidence)
        comments = [texts.flag(flag, "disk") for flag in disk["flags"]] + ([why_none] if why_none else [])
        yield _group(
            document,
            identifier=f"disk {disk['level']}",
            region=region,
            finding=coding.FINDINGS[final.finding],
            site=coding.level_of_disk(final.level),
            measurements=_disk_measurements(disk, matches),
            evaluations=_disk_evaluations(disk, final, reading.status != "machine"),
            comments=[*comments, *([_said(reading.reader, final.comment)] if final.comment else [])],
        )


def _disk_measurements(disk: Mapping[str, Any], matches: Mapping[str, Any]) -> list[hd.Measurement]:
    shares = disk["probabilities"] or {}
    # In percent: viewers show the unit's code behind the number, and a bare "1" reads as another number.
    percent = coding.UNITS["_percent"]
    found = [coding.Quantity(coding.PROBABILITIES[name], round(100 * share, 2), percent) for name, share in shares.items()]
    found += coding.quantities(disk)
    best = matches.get(disk["axial_sop_instance_uids"][0]) if disk["axial_sop_instance_uids"] else None
    if best is not None and best["distance_mm"] is not None:
        found.append(coding.Quantity(coding.SLICE_DISTANCE, best["distance_mm"], coding.UNITS["_mm"]))
    if best is not None and best["angle_deg"] is not None:
        found.append(coding.Quantity(coding.SLICE_ANGLE, best["angle_deg"], coding.UNITS["_deg"]))
    return [_measurement(quantity) for quantity in found]


def _measurement(quantity: coding.Quantity) -> hd.Measurement:
    return hd.Measurement(name=_code(quantity.name), value=float(quantity.value), unit=_code(quantity.unit))


def _disk_evaluations(disk: Mapping[str, Any], final: FinalDisk, reviewed: bool) -> list[tuple[Coded, Coded]]:
    found = [(coding.LEVEL, coding.level_name(final.level))]
    if final.finding is not None:
        found += [(coding.ELEMENTS, coding.ELEMENT_SET), (coding.DISC_MORPHOLOGY, coding.MORPHOLOGY[final.finding])]
    if reviewed:
        found.append((coding.MACHINE_FINDING, coding.FINDINGS[final.machine_finding]))
        if final.by_person:
            found.append((coding.READER_FINDING, coding.FINDINGS[final.finding]))
        if final.renamed:
            found.append((coding.MACHINE_LEVEL, coding.level_name(final.machine_level)))
        found.append((coding.CONFIRMED, coding.YES if final.confirmed else coding.NO))
    found += coding.evaluations(disk)
    return found + [(coding.FLAG, coding.flag_code(flag)) for flag in disk["flags"]]


def _vertebra_groups(document: Mapping[str, Any], evidence: Evidence, reading: FinalReading) -> Iterator[Any]:
    for vertebra, final in zip(document["vertebrae"], reading.vertebrae, strict=True):
        region, why_none = _vertebra_region(vertebra, evidence)
        score = coding.Quantity(coding.SCORE, vertebra["score"], coding.NO_UNITS)
        yield _group(
            document,
            identifier=f"vertebra {vertebra['level']}",
            region=region,
            finding=coding.VERTEBRAL_BODY,
            site=coding.level_of_vertebra(final.level),
            measurements=[_measurement(quantity) for quantity in (score, *coding.quantities(vertebra))],
            evaluations=_vertebra_evaluations(final, reading.status != "machine"),
            comments=[why_none] if why_none else [],
        )


def _vertebra_evaluations(final: FinalVertebra, reviewed: bool) -> list[tuple[Coded, Coded]]:
    found = [(coding.LEVEL, coding.level_name(final.level))]
    if final.changed:
        found.append((coding.MACHINE_LEVEL, coding.level_name(final.machine_level)))
    return [*found, (coding.CONFIRMED, coding.YES if final.confirmed else coding.NO)] if reviewed else found


def _group(
    document: Mapping[str, Any],
    identifier: str,
    region: Any,
    finding: Coded,
    site: Coded,
    measurements: Sequence[hd.Measurement],
    evaluations: Sequence[tuple[Coded, Coded]],
    comments: Sequence[str],
) -> Any:
    """A measurement group; planar with a region, else one that needs no image."""
    common: dict[str, Any] = {
        "tracking_identifier": hd.TrackingIdentifier(_stable_uid(document, identifier), identifier),
        "finding_type": _code(finding),
        "finding_sites": [hd.FindingSite(_code(site))],
        "algorithm_id": _algorithm(document),
        "measurements": measurements,
        "qualitative_evaluations": [hd.QualitativeEvaluation(_code(name), _code(value)) for name, value in evaluations],
    }
    group = (
        hd.MeasurementsAndQualitativeEvaluations(**common)
        if region is None
        else hd.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **common)
    )
    group[0].ContentSequence.extend(_text(comment) for comment in comments)
    return group


def _text(words: str) -> hd.TextContentItem:
    return hd.TextContentItem(_code(_COMMENT), words, hd.RelationshipTypeValues.CONTAINS)


def _study_remarks(document: Mapping[str, Any], reading: FinalReading) -> hd.ContainerContentItem:
    """What concerns the study as a whole: TID 1500's container of qualitative evaluations."""
    texts = load_texts("en")
    container = hd.ContainerContentItem(
        _code(_QUALITATIVE_EVALUATIONS), relationship_type=hd.RelationshipTypeValues.CONTAINS
    )
    items: list[Any] = [_text(NOTICE)]
    for flag in document["flags"]:
        items += hd.QualitativeEvaluation(_code(coding.FLAG), _code(coding.flag_code(flag)))
        items.append(_text(texts.flag(flag, "study")))
    if reading.comment:
        items.append(_text(_said(reading.reader, reading.comment)))
    container.ContentSequence = hd.ContentSequence(items)
    return container


def _disk_region(disk: Mapping[str, Any], evidence: Evidence) -> tuple[Any, str]:
    """The ROI on the axial image, else on the sagittal one, else in the patient; and why it is not on the axial image."""
    rois = [roi for view in ("axial", "sagittal") if (roi := disk["rois"][view]) is not None]
    for number, roi in enumerate(rois):
        on_image = _image_region(evidence.place(roi["sop_instance_uid"]), roi["corners_px"])
        if on_image is not None:
            return on_image, _ELSEWHERE if number else ""
    for roi in rois:
        in_space = _space_region(evidence, roi["sop_instance_uid"], roi.get("corners_lps_mm"))
        if in_space is not None:
            return in_space, _CUT
    return None, _NOWHERE if rois else ""


def _vertebra_region(vertebra: Mapping[str, Any], evidence: Evidence) -> tuple[Any, str]:
    """The box on the slice nearest to the body's centre, else the centre as a point in the patient."""
    center = vertebra["center_lps_mm"]
    located = ((evidence.place(box["sop_instance_uid"]), box["xyxy"]) for box in vertebra["boxes"])
    placed = [(place, box) for place, box in located if place is not None]
    if center is not None:
        placed.sort(key=lambda entry: entry[0].distance_mm(center))
    for place, box in placed:
        region = _image_region(place, box_corners(box))
        if region is not None:
            return region, ""
    frame = next((f for box in vertebra["boxes"] if (f := evidence.frame_of_reference(box["sop_instance_uid"]))), "")
    if center is None or not frame:
        return None, _NOWHERE
    return hd.ImageRegion3D(hd.GraphicTypeValues3D.POINT, np.array([center], dtype=float), frame), _CUT


def _image_region(place: Place | None, corners_px: Any) -> hd.ImageRegion | None:
    outline = None if place is None else inside(corners_px, place.shape)
    if place is None or outline is None:
        return None
    source = hd.SourceImageForRegion(
        place.header.SOPClassUID, place.header.SOPInstanceUID, None if place.frame is None else [place.frame]
    )
    return hd.ImageRegion(hd.GraphicTypeValues.POLYLINE, outline, source)


def _space_region(evidence: Evidence, uid: str, corners_lps_mm: Any) -> hd.ImageRegion3D | None:
    frame = evidence.frame_of_reference(uid)
    if not frame or corners_lps_mm is None:
        return None
    corners = np.asarray(corners_lps_mm, dtype=float)
    return hd.ImageRegion3D(hd.GraphicTypeValues3D.POLYGON, np.vstack([corners, corners[:1]]), frame)
