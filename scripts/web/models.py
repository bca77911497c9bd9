"""What the page and the server say to each other: bodies of requests and answers. See API.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StudyState = Literal["queued", "reading", "read", "failed", "signed"]
DiskLevel = Literal["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
VertebraLevel = Literal["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2"]
CorrectedLevel = Literal["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1", "S2", "S3"]
Finding = Literal["normal", "bulge", "herniation"]
ExportFormat = Literal["sr", "pdf", "fhir", "json", "html", "labels"]
Vector = tuple[float, float, float]

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_NO_CONTROLS_BUT_LINES = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
ReaderName = Annotated[str, Field(max_length=64, pattern=_NO_CONTROLS, description="Of the person at the screen.")]
Words = Annotated[str, Field(max_length=4000, pattern=_NO_CONTROLS_BUT_LINES)]
ShortText = Annotated[str, Field(max_length=128, pattern=_NO_CONTROLS)]


class Answer(BaseModel):
    """A body that the server sends."""

    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """A body that the page sends; what is not known is refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Problem(Answer):
    """Every answer with status 400 or more: one line for the user, without a patient's name."""

    detail: str


class Patient(Answer):
    """As the headers say it; empty where they say nothing."""

    name: str = Field("", description="PatientName in display form: components apart by commas.")
    id: str = ""
    birth_date: str = Field("", description="YYYY-MM-DD, or empty.")
    sex: str = ""


class StudyEntry(Answer):
    """One line of the work list."""

    id: str = Field(description="Random; says nothing about the patient.")
    state: StudyState
    step: str = Field(description="What the reading does now: one of `steps` of GET /api/info; empty when it does nothing.")
    progress: float = Field(ge=0, le=1)
    message: str = Field(description="One line for the user: why it failed, or what to know; else empty.")
    created_at: str = Field(description="ISO 8601, UTC.")
    updated_at: str
    patient: Patient
    study_date: str = Field(description="YYYY-MM-DD, or empty.")
    description: str = Field(description="StudyDescription.")
    accession_number: str
    study_instance_uid: str
    files: int
    bytes: int
    ahead: int = Field(description="Studies that are read before this one; 0 unless queued.")
    findings: dict[DiskLevel, Finding | None] = Field(description="The reader's, else the machine's; none until read.")
    flags: list[str] = Field(description="Codes of the report; texts in GET .../report.")
    signed_versions: int = Field(description="How many versions were signed.")
    related: list[str] = Field(description="Ids of other entries with the same StudyInstanceUID and other files.")


class StudyList(Answer):
    """A page of the work list, newest first."""

    total: int = Field(description="How many match.")
    studies: list[StudyEntry]


class StudySearch(Body):
    """What to look for. It stands in a body, since a name in a URL ends up in logs and histories."""

    query: Annotated[str, Field(max_length=200)] = Field(
        "", description="Words; each must be in a patient's or the study's texts, date or UID."
    )
    states: list[StudyState] = Field([], description="Empty: all.")
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Received(Answer):
    """One study of an upload."""

    study: StudyEntry
    duplicate: bool = Field(description="These very files were here already: `study` is the entry that they have.")


class Upload(Answer):
    """What became of an upload, which may hold several studies."""

    received: list[Received]
    left_out: int = Field(description="Files that are no images.")
    message: str = Field(description="One line for the user.")


class RemoteSearch(Body):
    """A search on a configured DICOMweb server; `*` stands for anything."""

    patient_name: ShortText = ""
    patient_id: ShortText = ""
    accession_number: ShortText = ""
    study_date: Annotated[str, Field(pattern=r"^(\d{8}(-(\d{8})?)?|-\d{8})?$")] = Field(
        "", description="YYYYMMDD or YYYYMMDD-YYYYMMDD."
    )


class RemoteStudy(Answer):
    """A study on a DICOMweb server."""

    study_instance_uid: str
    patient: Patient
    study_date: str
    description: str
    accession_number: str
    images: int | None
    here: list[str] = Field(description="Ids of entries that are here already.")


class Fetch(Body):
    """A study to fetch from a configured DICOMweb server."""

    server: ShortText
    study_instance_uid: Annotated[str, Field(max_length=64, pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")]


class Target(Answer):
    """A DICOM node or DICOMweb server of the configuration."""

    name: str
    kind: Literal["dicomweb", "dicom"]


class Info(Answer):
    """What the page needs to know at its start."""

    version: str
    language: str
    languages: list[str]
    steps: list[str] = Field(description="Names of the steps of a reading, in order.")
    servers: list[str] = Field(description="DICOMweb servers from which studies can be fetched.")
    targets: list[Target] = Field(description="Where a signed report can be sent.")
    exports: list[ExportFormat]
    max_upload_bytes: int
    token_needed: bool


class Plane(Answer):
    """Where an image lies: pixel (column c, row r) is at origin + c * spacing_mm[1] * row + r * spacing_mm[0] * column."""

    origin_lps_mm: Vector
    row_direction: Vector
    column_direction: Vector
    spacing_mm: tuple[float, float] = Field(description="Between rows, between columns.")
    thickness_mm: float | None


class ViewImage(Answer):
    """One image of a series. Its pixels: `pixels`, rows * columns unsigned 16-bit numbers, little-endian, row by row."""

    sop_instance_uid: str = Field(description="As in the report (with #frame where it applies).")
    rows: int
    columns: int
    plane: Plane | None = Field(description="None for PNG and JPG.")
    slope: float = Field(description="Signal = slope * stored number + intercept.")
    intercept: float
    window_center: float = Field(description="In signal.")
    window_width: float
    pixels: str = Field(description="URL.")


class ViewSeries(Answer):
    """A series for the viewer: images in patient order (right to left, head to feet, front to back), stack by stack."""

    index: int
    series_instance_uid: str
    description: str
    orientation: Literal["sagittal", "axial", "coronal", "oblique", "unknown"]
    weighting: str
    role: Literal["sagittal", "axial"] | None = Field(description="Set for the two series that were read.")
    stacks: list[list[int]] = Field(description="Indices into `images`.")
    images: list[ViewImage]


class SeriesList(Answer):
    """All image series of a study."""

    series: list[ViewSeries]


class VertebraReview(Body):
    """What a person says of one vertebra, called by the machine's level."""

    level: VertebraLevel
    corrected_level: CorrectedLevel | None = Field(None, description="None: the machine's name stands.")
    confirmed: bool = False


class DiskReview(Body):
    """What a person says of one disk, called by the machine's level."""

    level: DiskLevel
    finding: Finding | None = Field(None, description="None: the machine's finding stands.")
    confirmed: bool = False
    comment: Words = ""


class Review(BaseModel):
    """The person's reading, as it stands in report.json under `review`."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["draft", "final"]
    reader: str
    signed_at: str | None
    comment: str
    vertebrae: list[VertebraReview]
    disks: list[DiskReview]


class ReviewChange(Body):
    """A draft to keep. Vertebrae and disks that are not named stay as they are."""

    reader: ReaderName
    revision: int = Field(description="Of the review that was changed; if it is no longer the last one, the answer is 409.")
    comment: Words | None = None
    vertebrae: list[VertebraReview] = []
    disks: list[DiskReview] = []


class Signature(Body):
    """Signs the draft of this revision."""

    reader: Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_CONTROLS)]
    revision: int


class Amendment(Body):
    """Opens a new version of a signed report."""

    reader: Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_CONTROLS)]
    reason: Annotated[str, Field(min_length=1, max_length=400, pattern=_NO_CONTROLS)]


class Report(Answer):
    """The report of a study: `document` is report.json with the review in it."""

    version: int = Field(description="1 for the first; a draft has the number that it will be signed with.")
    versions: list[int] = Field(description="Those that are signed.")
    revision: int = Field(description="Counts the changes of the draft.")
    document: dict[str, Any] = Field(description="See bundle/report/report.schema.json; always with `review`.")
    texts: dict[str, str] = Field(description="Flag code -> sentence.")
    files: list[str] = Field(description="Pictures of the report: GET .../report/files/{name}.")


class Send(Body):
    """Where to send a signed report."""

    target: ShortText
    version: int | None = Field(None, description="None: the last signed one.")


class Sent(Answer):
    """What was sent."""

    target: str
    objects: int
    message: str


class LogEntry(Answer):
    """One line of the change log."""

    number: int
    at: str
    who: str
    what: str = Field(description="`disk L4-L5 finding`, `vertebra L5 corrected_level`, `comment`, `signed`, `sent`, ...")
    before: str | None
    after: str | None


class Log(Answer):
    """The change log of a study, oldest first; nothing in it is ever changed."""

    entries: list[LogEntry]
