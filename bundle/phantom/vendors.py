"""The habits of makers of MR scanners, as data: which series a lumbar study has, how they are laid out and described.

The table itself is ``configs/phantom_studies.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydicom.datadict import tag_for_keyword

from bundle.phantom.acquisition import AcquisitionRates

CONFIG_FILE = Path(__file__).resolve().parents[2] / "configs" / "phantom_studies.yaml"
ORDERS: tuple[str, ...] = ("ascending", "descending", "interleaved", "feet_first", "across_stacks", "restarting")
STACKS: tuple[str, ...] = ("per_disk", "series_per_disk", "block")
VIEWS: tuple[str, ...] = (
    "localizer", "sagittal", "axial", "coronal", "radial", "sagittal_volume", "axial_volume", "scout_copy",
)  # fmt: skip
Interval = tuple[float, float]


class VendorError(ValueError):
    """The table of vendors, or a choice from it, is not valid; the message is one line for the user."""


@dataclass(frozen=True)
class PixelFormat:
    """How brightness is stored in 16 bits.

    Args:
        bits_stored: 12 or 16.
        signed: two's complement.
        scale: stored value of the brightest tissue.
        slope: Rescale Slope that is written; None for none.
    """

    bits_stored: int = 12
    signed: bool = False
    scale: float = 1000.0
    slope: float | None = None

    @property
    def largest(self) -> int:
        """Largest value that can be stored."""
        return 2 ** (self.bits_stored - self.signed) - 1


@dataclass(frozen=True)
class PrivateBlock:
    """Private attributes that a vendor's headers carry.

    Args:
        group: odd group number.
        creator: Private Creator.
        elements: last two digits of each element to (VR, value).
    """

    group: int
    creator: str
    elements: Mapping[int, tuple[str, Any]]


@dataclass(frozen=True)
class Scanner:
    """A model of a vendor.

    Args:
        field_t: field strength in tesla.
        tags: Manufacturer and what else names it, by keyword.
        enhanced: share of its studies that are filed as enhanced multi-frame MR.
    """

    field_t: float
    tags: Mapping[str, Any]
    enhanced: float = 0.0


@dataclass(frozen=True)
class SeriesHabit:
    """How a vendor's users take one kind of series; see the head of configs/phantom_studies.yaml.

    Args:
        role: what the series is in a study, such as ``sagittal_t2``: its key in the table.
        view: what its planes are; one of VIEWS.
        chance: share of studies that have it.
        sequence: protocol, as in bundle.phantom.sequences.sample_sequence.
        descriptions: Series Descriptions.
        slices: (fewest, most); of each stack in an axial series.
        thickness_mm, field_of_view_mm, tr_ms, te_ms, ti_ms: ends of an even draw; ti_ms at 1.5 T, (0, 0) for none.
        gap: the same, as a share of the thickness.
        matrix_px: choices of rows and columns.
        stacks: choices of STACKS; for an axial series.
        orders: choices of ORDERS.
        tags: DICOM attributes by keyword, beside the vendor's.
        image_type: Image Type; empty for the vendor's.
    """

    role: str
    view: str
    chance: float
    sequence: str
    descriptions: tuple[str, ...]
    slices: tuple[int, int]
    thickness_mm: Interval
    gap: Interval
    field_of_view_mm: Interval
    matrix_px: tuple[int, ...]
    tr_ms: Interval
    te_ms: Interval
    ti_ms: Interval = (0.0, 0.0)
    stacks: tuple[str, ...] = ("per_disk",)
    orders: tuple[str, ...] = ("ascending",)
    tags: Mapping[str, Any] = field(default_factory=dict)
    image_type: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vendor:
    """A maker of MR scanners.

    Args:
        name: its key in the table.
        scanners: its models.
        series: in the order in which they are taken.
        image_type: Image Type of a series that has none of its own.
        pixels: how brightness is stored.
        series_numbers: (first, step).
        transfer_syntaxes: choices, keys of bundle.phantom.headers.TRANSFER_SYNTAXES.
        tags: DICOM attributes of every image.
        private: blocks of every image.
        levels: choices of the number of disks that get axial slices, counted from L5-S1 up.
        acquisition: settings and faults of the scanner.
        deidentified: share of studies from which a strict de-identification has taken what names scanner and protocol.
    """

    name: str
    scanners: tuple[Scanner, ...]
    series: tuple[SeriesHabit, ...]
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "OTHER")
    pixels: PixelFormat = PixelFormat()
    series_numbers: tuple[int, int] = (1, 1)
    transfer_syntaxes: tuple[str, ...] = ("explicit", "explicit", "implicit", "rle", "jpegls", "jpeg2000")
    tags: Mapping[str, Any] = field(default_factory=dict)
    private: tuple[PrivateBlock, ...] = ()
    levels: tuple[int, ...] = (5,)
    acquisition: AcquisitionRates = field(default_factory=AcquisitionRates)
    deidentified: float = 0.0

    @property
    def has_enhanced(self) -> bool:
        """Whether any of its scanners writes enhanced multi-frame MR."""
        return any(scanner.enhanced > 0 for scanner in self.scanners)


#: What the headers of a study that follows no vendor say of its scanner.
_PLAIN_TAGS: Mapping[str, Any] = {
    "Manufacturer": "lumbar-disk-bundle",
    "ManufacturerModelName": "digital lumbar spine",
    "StudyDescription": "MR lumbar spine (phantom)",
}


@dataclass(frozen=True)
class Filing:
    """How one study is written.

    Args:
        tags: DICOM attributes of every image, by keyword.
        private: blocks of every image.
        pixels: how brightness is stored.
        series_numbers: (first, step).
        transfer_syntax: a key of bundle.phantom.headers.TRANSFER_SYNTAXES.
        enhanced: one multi-frame object a series (Enhanced MR Image Storage), not one file a slice.
        deidentified: without what names scanner, protocol and series, and a Frame of Reference UID for each series.
    """

    tags: Mapping[str, Any] = field(default_factory=lambda: _PLAIN_TAGS)
    private: tuple[PrivateBlock, ...] = ()
    pixels: PixelFormat = PixelFormat()
    series_numbers: tuple[int, int] = (1, 1)
    transfer_syntax: str = "explicit"
    enhanced: bool = False
    deidentified: bool = False


def load_vendors(config_file: str | Path | None = None) -> dict[str, Vendor]:
    """The vendors of a table by name.

    Args:
        config_file: default CONFIG_FILE.

    Raises:
        VendorError: the file cannot be read, or an entry is unknown, missing or out of range.
    """
    path = Path(config_file) if config_file is not None else CONFIG_FILE
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise VendorError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    try:
        common = {key: table[key] for key in ("levels", "acquisition", "deidentified") if key in table}
        return {name: _vendor(name, {**common, **entry}, table["series"]) for name, entry in table["vendors"].items()}
    except (VendorError, TypeError, KeyError, AttributeError) as error:
        raise VendorError(f"{path}: {error.args[0] if error.args else error}") from error


def choose_vendor(vendors: Sequence[Vendor], seed: int) -> Vendor:
    """One of ``vendors``, drawn by ``seed``."""
    return vendors[int(np.random.default_rng([seed, len(vendors)]).integers(len(vendors)))]


def _vendor(name: str, entry: dict[str, Any], defaults: dict[str, Any]) -> Vendor:
    unknown = set(entry["series"]) - set(defaults)
    if unknown:
        raise VendorError(f"{name}: no series is known as {', '.join(sorted(unknown))}")
    entry = {
        **entry,
        "name": name,
        "scanners": tuple(_record(Scanner, scanner, f"{name}: scanners") for scanner in entry["scanners"]),
        "series": tuple(
            _habit(name, role, defaults[role], entry["series"][role]) for role in defaults if role in entry["series"]
        ),
        "acquisition": _record(AcquisitionRates, entry.get("acquisition", {}), f"{name}: acquisition"),
        "pixels": _record(PixelFormat, entry.get("pixels", {}), f"{name}: pixels"),
        "private": tuple(_record(PrivateBlock, block, f"{name}: private") for block in entry.get("private", ())),
    }
    vendor = _record(Vendor, entry, name)
    if not vendor.scanners:
        raise VendorError(f"{name}: no scanner")
    return vendor


def _habit(vendor: str, role: str, default: dict[str, Any], own: dict[str, Any]) -> SeriesHabit:
    tags = {**default.get("tags", {}), **own.get("tags", {})}
    habit: SeriesHabit = _record(SeriesHabit, {**default, **own, "tags": tags, "role": role}, f"{vendor}: {role}")
    for given, known in ((habit.orders, ORDERS), (habit.stacks, STACKS), ((habit.view,), VIEWS)):
        if not given or not set(given) <= set(known):
            raise VendorError(f"{vendor}: {role}: {', '.join(given) or 'nothing'} is given, known are {', '.join(known)}")
    for name in ("slices", "thickness_mm", "gap", "field_of_view_mm", "tr_ms", "te_ms", "ti_ms"):
        ends = getattr(habit, name)
        if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
            raise VendorError(f"{vendor}: {role}: {name} needs the two ends of a draw, got {list(ends)}")
    if not habit.descriptions or not habit.matrix_px:
        raise VendorError(f"{vendor}: {role}: no description or no matrix")
    return habit


def _record(kind: type[Any], entry: Mapping[str, Any], where: str) -> Any:
    """``kind`` from a table's entry, lists made tuples, and its DICOM keywords checked."""
    names = {f.name for f in fields(kind)}
    unknown = set(entry) - names
    if unknown:
        raise VendorError(f"{where}: unknown entry {', '.join(sorted(map(str, unknown)))}")
    for keyword in entry.get("tags", {}):
        if tag_for_keyword(keyword) is None:
            raise VendorError(f"{where}: {keyword} is no DICOM keyword")
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
    except TypeError as error:
        raise VendorError(f"{where}: {error}") from error
