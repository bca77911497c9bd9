"""Writes digital lumbar spines as DICOM studies, each with its truth.

python -m scripts.phantom_study --output_dir docs/sample-study --seed 514
python -m scripts.phantom_study --output_dir studies --seed 100 --count 20 --vendor any
python -m scripts.phantom_study --output_dir studies --vendor philips --enhanced --max_px 256
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import fire
from tqdm import tqdm

from bundle.phantom.anatomy import sample_spine
from bundle.phantom.dicom import FolderError, files_kept, write_study
from bundle.phantom.examination import vendor_examination
from bundle.phantom.headers import TRANSFER_SYNTAXES
from bundle.phantom.vendors import Vendor, VendorError, choose_vendor, load_vendors

_LEAST_PX = 32  # JPEG 2000 needs so many


def main(
    output_dir: str,
    seed: int = 0,
    count: int = 1,
    vendor: str | Sequence[str] | None = None,
    max_px: int | None = None,
    transfer_syntax: str | None = None,
    enhanced: bool | None = None,
    deidentified: bool | None = None,
    config_file: str | None = None,
) -> None:
    """Write ``count`` studies.

    Args:
        output_dir: folder of the study; of several studies the folder that holds one folder each, named by its seed.
        seed: of the first patient; the next have the next seeds. The same seed gives the same bytes.
        count: number of studies.
        vendor: whose habits to follow: one name, several with commas between them of which each study draws one, or ``any``.
            Default: a plain study of localizer, sagittal T2 and axial T2.
        max_px: largest number of rows and columns, to save time; default the vendor's own.
        transfer_syntax: explicit, implicit, rle, jpegls or jpeg2000; default drawn.
        enhanced: one multi-frame file a series; default drawn, for vendors that have it.
        deidentified: without what names scanner and protocol; default drawn.
        config_file: table of vendors; default configs/phantom_studies.yaml.
    """
    try:
        _check(count, max_px, transfer_syntax)
        if vendor is None and any(v is not None for v in (max_px, transfer_syntax, enhanced, deidentified, config_file)):
            raise VendorError("a plain study has no options; name a --vendor, or any")
        chosen = _vendors(vendor, load_vendors(config_file), bool(enhanced)) if vendor is not None else []
        seeds = range(seed, seed + count)
        folders = [Path(output_dir) if count == 1 else Path(output_dir) / f"phantom-{s:05d}" for s in seeds]
        for folder in folders:  # before the first of them is rendered
            files_kept(folder)
        with tqdm(total=count, unit="study", disable=count == 1) as bar:
            for one, folder in zip(seeds, folders, strict=True):
                spine, examination = sample_spine(one), None
                if chosen:
                    habits = choose_vendor(chosen, one)
                    examination = vendor_examination(spine, habits, one, max_px, transfer_syntax, enhanced, deidentified)
                truth = write_study(folder, spine, one, examination, progress=count == 1)
                bar.update()
    except (VendorError, FolderError, OSError) as error:
        sys.exit(f"phantom_study: {error}")
    if count == 1:
        print(f"{folder}: {truth['vendor']}, " + ", ".join(f"{d['level']} {d['finding']}" for d in truth["disks"]))


def _check(count: int, max_px: int | None, transfer_syntax: str | None) -> None:
    if count < 1:
        raise VendorError(f"--count {count}: at least one study")
    if max_px is not None and max_px < _LEAST_PX:
        raise VendorError(f"--max_px {max_px}: at least {_LEAST_PX}")
    if transfer_syntax is not None and transfer_syntax not in TRANSFER_SYNTAXES:
        raise VendorError(f"--transfer_syntax {transfer_syntax}: known are {', '.join(TRANSFER_SYNTAXES)}")


def _vendors(names: str | Sequence[str], known: dict[str, Vendor], enhanced: bool) -> list[Vendor]:
    wanted = names.split(",") if isinstance(names, str) else list(names)
    if wanted == ["any"]:
        wanted = [name for name, vendor in known.items() if not enhanced or vendor.has_enhanced]
    for name in wanted:
        if name not in known:
            raise VendorError(f"--vendor {name}: known are any, {', '.join(known)}")
    return [known[name] for name in wanted]


if __name__ == "__main__":
    fire.Fire(main)
