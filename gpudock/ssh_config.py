"""ssh_config as ssh itself reads it, where paramiko and Fabric do not.

https://man.openbsd.org/ssh_config: paramiko knows no Include (paramiko#1609), lets a Match by what it does not know
count, and gives up at an IdentityFile that is not there; Fabric takes `ProxyJump none` for a bastion's name.
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fabric
import invoke
import paramiko

from gpudock.errors import UsageError

KNOWN = {"all", "canonical", "final", "exec", "host", "originalhost", "user", "localuser"}  # criteria of Match
ALONE = {"all", "canonical", "final"}  # those without a value
NOBODY = "Host !*"
LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.+)")
DEEPEST = 16  # files that include each other, as for ssh


class SshConfig(paramiko.SSHConfig):
    """What the files say of a host."""

    def lookup(self, hostname: str) -> Any:
        """The options for a host, in words that Fabric understands."""
        options: Any = super().lookup(hostname)
        if options.get("proxyjump", "").lower() == "none":
            del options["proxyjump"]
        if files := options.get("identityfile"):
            options["identityfile"] = [name for name in files if Path(name).expanduser().is_file()]
        if options.get("forwardagent", "no") not in ("yes", "no"):
            options["forwardagent"] = "yes"  # a socket's path, or its variable
        return options


class Config(fabric.Config):  # type: ignore[misc]
    """Fabric's configuration with an SshConfig, which its copies, one a host, have in common."""

    @classmethod
    def of(cls, config: invoke.Config) -> Config:
        """A configuration with the same files. Raises UsageError where they cannot be read."""
        if isinstance(config, cls):
            return config
        if not isinstance(config, fabric.Config):
            return cls()
        made: Config = config.clone(into=cls)
        made._load_ssh_files()
        return made

    def _load_ssh_files(self) -> None:
        self._set(base_ssh_config=SshConfig())
        try:
            super()._load_ssh_files()
        except FileNotFoundError as error:
            raise UsageError(f"{error.filename}: there is no such ssh_config.") from None
        self._set(_given_explicit_object=True)  # or each copy would read them anew

    def _load_ssh_file(self, path: str) -> None:
        file = Path(path)
        folder = Path("/etc/ssh" if path == self._system_ssh_path else "~/.ssh").expanduser()
        try:
            self.base_ssh_config.parse(lines(file, folder) if file.exists() else ())
        except (paramiko.ConfigParseError, OSError, ValueError) as error:
            raise UsageError(f"{path}: cannot be read: {error}") from None

    def _clone_init_kwargs(self, *positional: Any, **named: Any) -> dict[str, Any]:
        made: dict[str, Any] = invoke.Config._clone_init_kwargs(self, *positional, **named)
        return {**made, "ssh_config": self.base_ssh_config}


def lines(file: Path, folder: Path, block: str = "Host *", depth: int = 0) -> Iterator[str]:
    """The lines of a file, those of the files that it includes in their place; `folder` is where relative ones are.

    An included file's own Host and Match lines count by themselves, whatever block includes it.
    """
    for line in file.read_text(errors="replace").splitlines():
        found = LINE.fullmatch(line)
        word, value = (found[1].lower(), found[2]) if found else ("", "")
        if word == "include" and depth < DEEPEST:
            for pattern in shlex.split(value):
                for name in sorted(glob.glob(str(folder / Path(pattern).expanduser()))):
                    yield from lines(Path(name), folder, block, depth + 1)
            yield block
            continue
        if word in ("host", "match"):
            line = block = line if word == "host" or _is_known(value) else NOBODY
        yield line


def _is_known(criteria: str) -> bool:
    """Whether paramiko knows all that a Match goes by."""
    words = iter(shlex.split(criteria))
    for word in words:
        name = word.lstrip("!").lower()
        if name not in KNOWN:
            return False
        if name not in ALONE:
            next(words, None)
    return True
