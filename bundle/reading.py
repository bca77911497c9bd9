"""One study in, one report out; and many studies, each by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one study: its report, or the reason why there is none."""

    source: Path
    report: Path | None
    error: str | None = None


class LumbarReading:
    """The four steps of a reading, each a component that a config can replace.

    Args:
        read_study: path -> Study.
        find_vertebrae: sagittal Series -> (vertebrae, flags).
        locate_disks: vertebrae -> {level: Disk}.
        match_slices: (axial images, disks) -> matches; ``choose`` of it gives the best slice and its neighbours of a disk.
        crop_rois: study, disks and matches -> a DiskReading of each level with its ROIs.
        classify: disk readings -> the same, judged.
        write_report: (folder, study, vertebrae, matches, disks, flags, model) -> path of the page.
        weights: the weights files that were used, by name, for the report.
        progress: show a bar over the steps.
    """

    def __init__(
        self,
        read_study: Callable[[Path], Any],
        find_vertebrae: Callable[..., Any],
        locate_disks: Callable[..., Any],
        match_slices: Callable[..., Any],
        crop_rois: Callable[..., Any],
        classify: Callable[..., Any],
        write_report: Callable[..., Path],
        weights: Mapping[str, str | Path],
        progress: bool = True,
    ) -> None:
        self.read_study = read_study
        self.find_vertebrae = find_vertebrae
        self.locate_disks = locate_disks
        self.match_slices = match_slices
        self.crop_rois = crop_rois
        self.classify = classify
        self.write_report = write_report
        self.weights = dict(weights)
        self.progress = progress
