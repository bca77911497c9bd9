"""Packs releases as configs/packs.yaml declares them: a folder and a zip each, which MONAI's bundle tools take.

python -m scripts.pack --output_dir dist
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import fire
from monai.bundle import ConfigParser, ckpt_export

from bundle.weights import sha256_of
from bundle.whole_file import whole_file

#: What a workflow is entered by: MONAI's properties and the sections that `monai.bundle run` knows. All else is kept where
#: one of them refers to it.
ENTRIES: tuple[str, ...] = (
    "imports", "bundle_root", "dataset_dir", "device", "network_def", "dataset", "preprocessing", "inferer", "detector",
    "evaluator", "postprocessing", "handlers", "initialize", "run", "finalize",
)  # fmt: skip
_REFERENCE = re.compile(r"@(\w+)")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same bytes from the same files


def main(
    output_dir: str = "dist", packs: str = "configs/packs.yaml", only: str | None = None, bundle_root: str = "."
) -> None:
    """Write ``<output_dir>/<pack>/`` and ``<output_dir>/<pack>_v<version>.zip`` of every pack.

    Args:
        output_dir: is made if it is not there; older packs of the same name are replaced.
        packs: what goes into each.
        only: name of the one pack that is wanted.
        bundle_root: where the sources are.
    """
    root = Path(bundle_root)
    declared = ConfigParser.load_config_file(root / packs if not Path(packs).is_absolute() else packs)
    unknown = {only} - declared.keys() if only else set()
    if unknown:
        raise SystemExit(f"error: no pack {only}; known are {', '.join(declared)}")
    for name in [only] if only else declared:
        folder = make_pack(root, name, declared[name], Path(output_dir))
        version = json.loads((folder / "configs" / "metadata.json").read_text())["version"]
        archive = zipped(folder, folder.parent / f"{name}_v{version}.zip")
        print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")


def make_pack(root: Path, name: str, pack: Mapping[str, Any], output_dir: Path) -> Path:
    """The folder of one pack; it is there as a whole or not at all.

    Args:
        root: of the bundle.
        name: of the pack.
        pack: what goes into it, see configs/packs.yaml.
        output_dir: where the folder goes.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output_dir, prefix=f".{name}-") as work:
        made = Path(work) / name
        _copy(root, made, pack["files"])
        if "weights" in pack:
            _one_network(root, made, name, pack)
        folder = output_dir / name
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    return folder


def _copy(root: Path, made: Path, files: Iterable[str]) -> None:
    for file in files:
        source, target = root / file, made / file
        if not source.exists():
            raise SystemExit(f"error: {source}: not there, and to be packed")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=_LEFT_OUT)
        else:
            shutil.copyfile(source, target)


def _one_network(root: Path, made: Path, name: str, pack: Mapping[str, Any]) -> None:
    """What a pack of one network has beside copies: configs, metadata, documents, weights and their TorchScript."""
    for target, workflow in pack["configs"].items():
        _write_json(made / target, workflow_config(root, workflow))
    metadata = pack_metadata(json.loads((root / "configs" / "metadata.json").read_text()), pack["metadata"])
    _write_json(made / "configs" / "metadata.json", metadata)
    weights = made / "models" / "model.pt"
    weights.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / pack["weights"], weights)
    ckpt_export(
        net_id="network_def",
        filepath=str(weights.with_suffix(".ts")),
        ckpt_file=str(weights),
        meta_file=str(made / "configs" / "metadata.json"),
        config_file=str(made / "configs" / "inference.json"),
        bundle_root=str(made),
    )
    values = {"pack": name, "version": metadata["version"], "weights_sha256": sha256_of(weights)}
    for target, source in pack["documents"].items():
        text = (root / source).read_text(encoding="utf-8")
        (made / target).parent.mkdir(parents=True, exist_ok=True)
        (made / target).write_text(Template(text).safe_substitute(values), encoding="utf-8")


def workflow_config(root: Path, workflow: Mapping[str, Any]) -> dict[str, Any]:
    """One config out of those that ``workflow`` lays over one another; see configs/packs.yaml."""
    merged = ConfigParser.load_config_files([root / path for path in workflow["from"]])
    config = _renamed(merged, workflow.get("rename", {}))
    parser = ConfigParser(config)
    for key, value in workflow.get("set", {}).items():
        parser[key] = value
    return reachable(parser.get())


def reachable(config: Mapping[str, Any], entries: Sequence[str] = ENTRIES) -> dict[str, Any]:
    """The keys of a config that ``entries`` refer to, directly or by others, in their order."""
    wanted, queue = set(), [key for key in entries if key in config]
    while queue:
        key = queue.pop()
        if key not in wanted:
            wanted.add(key)
            queue += [found for found in _REFERENCE.findall(json.dumps(config[key])) if found in config]
    return {key: value for key, value in config.items() if key in wanted}


def _renamed(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    clash = {new for new in names.values() if new in config and new not in names}
    if clash:
        raise SystemExit(f"error: {', '.join(sorted(clash))}: there already, nothing can be renamed to it")

    def new_reference(match: re.Match[str]) -> str:
        return "@" + names.get(match[1], match[1])

    text = json.dumps({names.get(key, key): value for key, value in config.items()})
    renamed: dict[str, Any] = json.loads(_REFERENCE.sub(new_reference, text))
    return renamed


def pack_metadata(metadata: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle's metadata with a pack's changes; see configs/packs.yaml."""
    changed = {key: value for key, value in metadata.items() if key not in changes["drop"]} | changes["set"]
    if isinstance(changed["network_data_format"], str):
        changed["network_data_format"] = metadata[changed["network_data_format"]]
    figures = {name: value for name, value in metadata["eval_metrics"].items() if re.search(changes["eval_metrics"], name)}
    return changed | {"eval_metrics": figures}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def zipped(folder: Path, path: Path) -> Path:
    """A zip of ``folder`` under its own name, as the model zoo's; the same files give the same bytes."""
    with whole_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(str(file.relative_to(folder.parent)), _ZIP_TIME)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, file.read_bytes())
    return path


if __name__ == "__main__":
    fire.Fire(main)
