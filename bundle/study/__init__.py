"""DICOM, NIfTI, PNG or JPG in, Study out. Converts to patient space (LPS) here and nowhere else."""

from bundle.study.files import find_studies
from bundle.study.reader import StudyReader
from bundle.study.types import Series, Study, StudyError, StudyImage

__all__ = ["Series", "Study", "StudyError", "StudyImage", "StudyReader", "find_studies"]
