"""What operators add of their own: their files read from their machine, each by the path it gets on the host."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from gpudock.errors import UsageError
from gpudock.files import text
from gpudock.settings import Settings

SETTING = "additions.pip_file"
KINDS = ("first", "start", "login")  # folders of start scripts: for the first start, each start, each login
OWN = re.compile(r"(python|pip)\b")  # what the environment has anyway


def start_scripts(settings: Settings) -> dict[str, str]:
    """The scripts of the container by their paths in its folder `scripts`, in their order."""
    scripts = settings.additions.scripts
    kinds = dict(zip(KINDS, (scripts.first_start, scripts.start, scripts.login), strict=True))
    return {name: text for kind, names in kinds.items() for name, text in _numbered(kind, names).items()}


def context(settings: Settings) -> dict[str, str]:
    """What goes into the image, by the path in the build context's folder `additions`."""
    wanted = settings.additions
    files = _numbered("scripts", wanted.scripts.build)
    if wanted.apt:
        files["apt/packages"] = "".join(f"{name}\n" for name in wanted.apt)
    if wanted.pip:
        files["pip/list.txt"] = "".join(f"{name}\n" for name in wanted.pip)
    if wanted.pip_file:
        files |= {f"pip/{name}": text for name, text in _packages(settings).items()}
    return files


def kinds(settings: Settings) -> list[str]:
    """The kinds of what goes into the image, a step of the build each: apt, pip (conda with pip's in it), scripts."""
    files = context(settings)
    found = {name.partition("/")[0] for name in files}
    if "pip/conda.txt" in files:
        found = found - {"pip"} | {"conda"}
    return sorted(found)


def overview(settings: Settings) -> list[str]:
    """What goes into the image, a line each, for people."""
    wanted = settings.additions
    files = [f"file {wanted.pip_file}"] if wanted.pip_file else []
    return [
        *(f"package {name}" for name in wanted.apt),
        *(f"requirement {name}" for name in wanted.pip),
        *files,
        *(f"script {name}" for name in wanted.scripts.build),
    ]


def digest(files: Mapping[str, str]) -> str:
    """The hash of named texts; empty where there are none."""
    if not files:
        return ""
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\0{len(content)}\0{content}".encode())
    return whole.hexdigest()[:24]


def _numbered(kind: str, names: Sequence[str]) -> dict[str, str]:
    paths = [Path(name).expanduser() for name in names]
    setting = "additions.scripts"
    return {
        f"{kind}/{index:02d}-{path.name.replace(' ', '-')}": text(path, setting) for index, path in enumerate(paths)
    }


def _packages(settings: Settings) -> dict[str, str]:
    path = Path(settings.additions.pip_file).expanduser()
    if path.suffix in (".yml", ".yaml"):
        return _environment(path, conda=settings.image.env == "conda")
    if read := _READERS.get(path.suffix):
        return read(path)
    raise UsageError(f"{SETTING}: {path}: should be requirements.txt, uv.lock or environment.yml.")


def _requirements(path: Path) -> dict[str, str]:
    content = text(path, SETTING)
    for line in content.splitlines():
        if line.strip().startswith(("-r", "-c", "-e", "--requirement", "--constraint", "--editable")):
            raise UsageError(f"{SETTING}: {path}: `{line.strip()}` names another file, which would not be sent.")
    return {"requirements.txt": content}


def _uv_lock(path: Path) -> dict[str, str]:
    return {"uv.lock": text(path, SETTING), "pyproject.toml": text(path.with_name("pyproject.toml"), SETTING)}


def _environment(path: Path, *, conda: bool) -> dict[str, str]:
    """An environment.yml: its pip part, and with `conda` the packages of conda-forge too, which uv could not bring."""
    try:
        document = yaml.safe_load(text(path, SETTING)) or {}
        listed, channels = document.get("dependencies") or [], set(document.get("channels") or ())
    except (yaml.YAMLError, AttributeError) as error:
        raise UsageError(f"{SETTING}: {path}: is no environment.yml: {error}") from None
    names = [item for item in listed if isinstance(item, str) and not OWN.match(item)]
    if names and not conda:
        raise UsageError(
            f"{SETTING}: {path}: {', '.join(names)}: packages of conda cannot go into an environment of uv. Name them "
            "as packages of PyPI, below `- pip:`, or choose image.env=conda."
        )
    if names and (others := channels - {"conda-forge", "nodefaults"}):
        raise UsageError(
            f"{SETTING}: {path}: channels: {', '.join(sorted(others))}: only conda-forge is used, as others have terms "
            "that nobody can accept for you."
        )
    pip = [name for item in listed if isinstance(item, dict) for name in item.get("pip") or ()]
    files = {"conda.txt": names, "requirements.txt": pip}
    return {name: "".join(f"{line}\n" for line in lines) for name, lines in files.items() if lines}


_READERS: Mapping[str, Callable[[Path], dict[str, str]]] = {
    ".txt": _requirements,
    ".in": _requirements,
    ".lock": _uv_lock,
}
