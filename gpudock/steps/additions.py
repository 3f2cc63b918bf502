"""What operators add of their own: their files read from their machine, each by the path it gets on the host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpudock.errors import UsageError
from gpudock.settings import Settings

# The environment manager's three ways to write packages down, and what they are called in the build context.
LISTS = {".txt": "requirements.txt", ".in": "requirements.txt", ".lock": "uv.lock", ".yml": "environment.yml",
         ".yaml": "environment.yml"}  # fmt: skip


def start_scripts(settings: Settings) -> dict[str, str]:
    """The scripts of the container by their paths in its folder `scripts`, in their order."""
    scripts = settings.additions.scripts
    kinds = {"first": scripts.first_start, "start": scripts.start, "login": scripts.login}
    return {name: text for kind, names in kinds.items() for name, text in _numbered(kind, names).items()}


def context(settings: Settings) -> dict[str, str]:
    """What goes into the image, by the path in the build context's folder `additions`."""
    wanted = settings.additions
    files = _numbered("scripts", wanted.scripts.build)
    if wanted.apt:
        files["apt"] = "".join(f"{name}\n" for name in wanted.apt)
    if wanted.pip:
        files["pip"] = "".join(f"{name}\n" for name in wanted.pip)
    if wanted.pip_file:
        files.update(_packages(Path(wanted.pip_file).expanduser()))
    return files


def digest(files: Mapping[str, str]) -> str:
    """The hash of named texts; empty where there are none."""
    if not files:
        return ""
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\0{len(content)}\0{content}".encode())
    return whole.hexdigest()[:24]


def text(path: Path, setting: str) -> str:
    """A file's text. Raises UsageError that names the setting where it cannot be read as one."""
    try:
        return path.read_text()
    except OSError as error:
        raise UsageError(f"{setting}: {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{setting}: {path}: is no text.") from None


def _numbered(kind: str, names: Sequence[str]) -> dict[str, str]:
    paths = [Path(name).expanduser() for name in names]
    setting = "additions.scripts"
    return {
        f"{kind}/{index:02d}-{path.name.replace(' ', '-')}": text(path, setting) for index, path in enumerate(paths)
    }


def _packages(path: Path) -> dict[str, str]:
    name = LISTS.get(path.suffix)
    if not name:
        raise UsageError(f"additions.pip_file: {path}: should be requirements.txt, uv.lock or environment.yml.")
    files = {name: text(path, "additions.pip_file")}
    if name == "uv.lock":
        files["pyproject.toml"] = text(path.with_name("pyproject.toml"), "additions.pip_file")
    return files
