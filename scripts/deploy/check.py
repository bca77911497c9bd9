"""Assembles what `monai-deploy package` gives to Docker, without Docker or network, and says what is missing.

python -m scripts.deploy.check --packed dist/deploy --context build/deploy
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import fire

from bundle.whole_folder import whole_folder

#: What the packager would fetch (releases/<version>/artifacts.json of holoscan-cli): none of it is used until Docker is.
_ARTIFACTS = {
    "holoscan": {
        "debian-version": "",
        "wheel-version": "",
        "base-images": {"dgpu": "base", "igpu": "base"},
        "build-images": {"igpu": {}, "dgpu": {}, "cpu": {}},
    },
    "health-probes": {"linux/amd64": "", "linux/arm64": ""},
}
_COPY = re.compile(r"^(?:COPY|ADD)(?: --\S+)* \./(\S+)", re.MULTILINE)


def main(packed: str = "dist/deploy", context: str = "build/deploy") -> None:
    """Write Docker's build context and check that everything is there that Dockerfile and manifests name.

    Args:
        packed: folder that scripts.deploy.pack wrote.
        context: folder to write; it is replaced as a whole.
    """
    place = Path(context)
    if place.exists() and not (place / "map" / "pkg.json").is_file():
        sys.exit(f"error: {place} exists and is no build context; name another folder")
    with whole_folder(place) as part:
        dockerfile = assemble(Path(packed), part)
        named, missing = listed(part, dockerfile)
    if missing:
        sys.exit("\n".join(f"error: {name} is listed and not there" for name in missing))
    print(f"{place}: all of {len(named)} that are listed are there")


def assemble(packed: Path, place: Path) -> str:
    """What the packager itself does until it calls Docker.

    Args:
        packed: folder that scripts.deploy.pack wrote.
        place: empty folder for the build context.

    Returns:
        The Dockerfile.
    """
    from holoscan_cli.__main__ import parse_args
    from holoscan_cli.packager import packager
    from holoscan_cli.packager.arguments import PackagingArguments
    from holoscan_cli.packager.container_builder import PythonAppBuilder

    app = packed / "app"
    artifacts = place / "artifacts.json"
    artifacts.write_text(json.dumps({_version("holoscan-cli"): _ARTIFACTS}), encoding="utf-8")
    files = ["--config", str(app / "app.yaml"), "--models", str(packed / "models"), "--docs", str(packed / "docs")]
    options = ["--platform", "x86_64", "--tag", "check", "--sdk", "monai-deploy", "--source", str(artifacts)]
    arguments = PackagingArguments(parse_args(["monai-deploy", "package", str(app), *files, *options]), str(place))
    artifacts.unlink()
    packager._create_app_manifest(arguments.application_manifest, str(place))
    packager._create_package_manifest(arguments.package_manifest, str(place))
    builder = PythonAppBuilder(arguments.build_parameters, str(place))
    (platform,) = arguments.platforms
    builder._copy_supporting_files(platform)
    return Path(builder._write_dockerfile(platform)).read_text(encoding="utf-8")


def listed(context: Path, dockerfile: str) -> tuple[list[str], list[str]]:
    """(everything in the context that Dockerfile and manifests name, what of it is not there or empty).

    Args:
        context: Docker's build context.
        dockerfile: its text.
    """
    app, package = (json.loads((context / "map" / name).read_text(encoding="utf-8")) for name in ("app.json", "pkg.json"))
    roots = {
        package["applicationRoot"]: "app",
        package["modelRoot"]: "models",
        app["environment"]["HOLOSCAN_DOCS_PATH"]: "docs",
    }
    command = json.loads(app["command"])[1]
    named = [*_COPY.findall(dockerfile), *roots.values(), *(_local(path, roots) for path in package["models"].values())]
    named.append(f"{_local(command, roots)}/__main__.py")
    named = list(dict.fromkeys(named))
    return named, [name for name in named if not _holds_something(context / name)]


def _local(path: str, roots: dict[str, str]) -> str:
    """A path in the container as one in the build context."""
    for root, name in roots.items():
        if path == root or path.startswith(f"{root}/"):
            return name + path.removeprefix(root)
    return path


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.is_file() and path.stat().st_size > 0


def _version(package: str) -> Any:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    fire.Fire(main)
