"""The files on the operator's machine that settings name: whole paths, whatever folder gpudock is called from; text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpudock.errors import UsageError
from gpudock.layers import Key, Layer

# Settings that hold a file or a list of files, by key; a word such as `auto` and a public key are none.
NAMED = re.compile(
    r"network\.ca_bundle|(jupyter|ssh)\.password_file|additions\.pip_file|additions\.scripts\.\w+"
    r"|ssh\.authorized_keys|ssh\.users\.[^.]+\.keys"
)
SECTIONS = ("network", "jupyter", "ssh", "additions")
NO_FILE = re.compile(r"(|auto|(ssh-|ecdsa-|sk-)\S+ .*)", re.DOTALL)


def placed(layer: Layer, folder: Path) -> Layer:
    """The layer with its files' paths made whole: from a folder, or from home where they begin with ~."""
    return {
        key: replace(value, value=_placed(key, value.value, folder)) if key[0] in SECTIONS else value
        for key, value in layer.items()
    }


def text(path: Path, setting: str) -> str:
    """A file's text. Raises UsageError that names the setting where it cannot be read as one."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{setting}: {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{setting}: {path}: is no text in UTF-8.") from None


def _placed(key: Key, value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {name: _placed((*key, str(name)), inner, folder) for name, inner in value.items()}
    if isinstance(value, list):
        return [_placed(key, inner, folder) for inner in value]
    if not isinstance(value, str) or NO_FILE.fullmatch(value) or not NAMED.fullmatch(".".join(key)):
        return value
    return str(folder / Path(value).expanduser())
