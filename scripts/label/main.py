"""The app that MONAI Label starts: `monailabel start_server --app scripts/label --studies FOLDER_OR_DICOMWEB_URL`.

Settings, each by ``-c KEY VALUE``: ``bundle_root`` (default: where this file is), ``model_dir`` (where trained weights go,
default ``model`` beside this file).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

# MONAI Label loads this file by its path; the bundle's root holds the packages that it imports.
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from fastapi import HTTPException  # noqa: E402
from monailabel.interfaces.app import MONAILabelApp  # noqa: E402
from monailabel.interfaces.datastore import Datastore  # noqa: E402
from monailabel.interfaces.tasks.infer_v2 import InferTask  # noqa: E402
from monailabel.interfaces.tasks.scoring import ScoringMethod  # noqa: E402
from monailabel.interfaces.tasks.strategy import Strategy  # noqa: E402
from monailabel.interfaces.tasks.train import TrainTask  # noqa: E402
from monailabel.tasks.activelearning.first import First  # noqa: E402
from monailabel.tasks.activelearning.random import Random  # noqa: E402

from bundle import __version__  # noqa: E402
from bundle.study import StudyError  # noqa: E402
from scripts.label.activelearning import LumbarUncertainty, MostUncertain  # noqa: E402
from scripts.label.infers import INFERS  # noqa: E402
from scripts.label.reading import LabelReading  # noqa: E402
from scripts.label.store import open_store  # noqa: E402
from scripts.label.studies import Studies  # noqa: E402
from scripts.label.trainers import TRAINERS  # noqa: E402


class LumbarApp(MONAILabelApp):
    """Detection, classification, whole reports, training of both networks and active learning, over one datastore."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.reading = LabelReading(
            Path(conf.get("bundle_root", ROOT)).resolve(), Path(conf.get("model_dir", Path(app_dir) / "model")).resolve()
        )
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name=f"Lumbar disk bundle {__version__}",
            description="Vertebrae, levels and disks of lumbar-spine MR. Not for diagnostic use.",
            version=__version__,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """The models."""
        studies = Studies(self.datastore())
        return {name: make(self.reading, studies) for name, make in INFERS.items()}

    def init_trainers(self) -> dict[str, TrainTask]:
        """The networks that can be trained."""
        studies = Studies(self.datastore())
        return {name: make(self.reading, studies) for name, make in TRAINERS.items()}

    def init_strategies(self) -> dict[str, Strategy]:
        """How the next study is picked."""
        return {"uncertain": MostUncertain(), "random": Random(), "first": First()}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """What the strategy goes by."""
        return {"lumbar_uncertainty": LumbarUncertainty(self.reading, Studies(self.datastore()))}

    def _download_dcmqi_tools(self) -> None:
        # MONAI Label fetches itkimage2segimage from GitHub when it finds none on the PATH
        # (https://github.com/Project-MONAI/MONAILabel/blob/0.8.5/monailabel/interfaces/app.py); the package dcmqi has it, in
        # the environment's own folder of programs, which need not be on the PATH.
        programs = str(Path(sys.executable).parent)
        if programs not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] += os.pathsep + programs

    def _init_dicomweb_datastore(self) -> Datastore:
        """As MONAI Label's, with a store that names segments."""
        self._download_dcmqi_tools()
        return open_store(self.studies)

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """As MONAI Label's, with the image's own name as ``image_id`` beside its path.

        Raises:
            HTTPException: there is no such image. MONAI Label fails on it without a word.
        """
        image = request.get("image")
        if isinstance(image, str) and not os.path.exists(image):
            try:
                Studies(self.datastore()).check(image)
            except StudyError as error:
                raise HTTPException(status_code=404, detail=str(error)) from error
        # The first time that a series of a DICOMweb store is asked for, DICOMWebDatastore.get_image_uri gives the name of a
        # temporary file, in which the series' UID is lost; no issue says so upstream
        # (https://github.com/Project-MONAI/MONAILabel/blob/0.8.5/monailabel/datastore/dicom.py).
        answer: dict[str, Any] = super().infer({**request, "image_id": image}, datastore)
        return answer

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, with the weights in use."""
        weights = {key: self.reading.weights(key).name for key in ("vertebra_weights", "disk_weights")}
        return {**super().info(), "weights": weights}
