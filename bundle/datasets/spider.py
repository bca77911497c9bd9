"""SPIDER: lumbar MR of 218 patients with low back pain, of four hospitals, with gradings of each disk by one reader.

van der Graaf et al., Sci Data 2024;11:264. From Zenodo (record 10159290: ``images.zip``, ``masks.zip``, ``overview.csv``,
``radiological_gradings.csv``), licence CC BY 4.0. Unpacked into one folder it is::

    images/<patient>_<t1|t2|t2_SPACE>.mha    volumes; or PNG pictures of the middle slice, by the same names
    masks/<patient>_<t1|t2|t2_SPACE>.mha     vertebrae, disks and canal; not used here
    radiological_gradings.csv, overview.csv
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bundle.datasets.labels import LabelledDisk, LabelledStudy, read_table
from bundle.geometry import DISK_LEVELS
from bundle.study import StudyError

_COLUMNS = ("Patient", "IVD label", "Disc herniation", "Disc bulging", "Disc narrowing", "Pfirrman grade")
_ENDINGS = (".mha", ".png")


def read_gradings(path: str | Path) -> dict[int, dict[str, LabelledDisk]]:
    """Patient -> disk level -> its labels: ``bulging``, ``herniation`` and ``narrowing`` (0 or 1), ``pfirrmann`` (1 to 5).

    Several flags may be set. The rule that makes one class of them: a herniated disk is a herniation whatever else is
    flagged, one that bulges and is not herniated is a bulge, all others are normal. Disk 1 is L5-S1, counted upward; those
    above L1-L2 are left out.

    Raises:
        StudyError: the file is not there, lacks a column, or holds something else than whole numbers.
    """
    gradings: dict[int, dict[str, LabelledDisk]] = {}
    for number, row in enumerate(read_table(path, _COLUMNS), start=2):
        try:
            patient, disk, herniation, bulging, narrowing, pfirrmann = (int(row[name]) for name in _COLUMNS)
        except ValueError as error:
            raise StudyError(f"{path}: line {number} holds something else than whole numbers") from error
        if not 1 <= disk <= len(DISK_LEVELS):
            continue
        level = DISK_LEVELS[-disk]
        finding = "herniation" if herniation else "bulge" if bulging else "normal"
        labels = {"bulging": bulging, "herniation": herniation, "narrowing": narrowing, "pfirrmann": pfirrmann}
        gradings.setdefault(patient, {})[level] = LabelledDisk(level, finding, labels=labels)
    return gradings


def read_spider(folder: str | Path) -> Iterator[LabelledStudy]:
    """The graded volumes or pictures of ``folder``; see the module.

    Raises:
        StudyError: there are no gradings.
    """
    folder = Path(folder)
    gradings = read_gradings(folder / "radiological_gradings.csv")
    for path in sorted((folder / "images").glob("*")):
        patient, _, contrast = path.stem.partition("_")
        if path.suffix in _ENDINGS and patient.isdigit() and int(patient) in gradings:
            disks = gradings[int(patient)]
            yield LabelledStudy(path, str(int(patient)), tuple(disks[v] for v in DISK_LEVELS if v in disks), contrast)
