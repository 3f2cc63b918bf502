"""A stand-in for NVIDIA's package repository: signed, with the strict dependencies of the real packages.

The packages hold stand-ins for the programs: `nvidia-ctk --version`, the hook, and a runtime that execs runc.
Its key is a throw-away one, so tests set `toolkit.fingerprint`; the address goes into `mirrors.toolkit`.
"""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STABLE = ("1.18.0-1", "1.19.1-1", "1.20.0-1")
EXPERIMENTAL = ("1.21.0~rc.1-1",)
TOOLKIT, BASE = "nvidia-container-toolkit", "nvidia-container-toolkit-base"
TOOLS, LIBRARY = "libnvidia-container-tools", "libnvidia-container1"

# As in packaging/debian/control of the real toolkit since 1.18: exact versions, so a partial pin cannot resolve.
DEPENDS = {TOOLKIT: (BASE, TOOLS), BASE: (), TOOLS: (LIBRARY,), LIBRARY: ()}
RUNTIME = '#!/bin/sh\nexec runc "$@"\n'
SMI = """#!/bin/sh
case "$*" in
    *driver_version*) echo 580.95.05 ;;
    *) echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)' ;;
esac
"""


@dataclass(frozen=True)
class Repository:
    """A served repository: its address as test hosts see it, and its key's fingerprint."""

    address: str
    fingerprint: str
    folder: Path

    @property
    def overrides(self) -> list[str]:
        """The command line's settings that point the toolkit's steps at it."""
        return ["--set", f"mirrors.toolkit={self.address}", "--set", f"toolkit.fingerprint={self.fingerprint}"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        return


def serve(folder: Path) -> Repository:
    """Build the repository in a folder and serve it on the engine's bridge until the process ends."""
    home = {"GNUPGHOME": str(folder / "gnupg")}
    fingerprint = _key(folder, home)
    for channel, versions in (("stable", STABLE), ("experimental", EXPERIMENTAL)):
        place = folder / "served" / channel / "deb" / "amd64"
        place.mkdir(parents=True)
        for version in versions:
            for package in DEPENDS:
                _package(folder, place, package, version)
        _index(place, home)
    handler = functools.partial(_Quiet, directory=str(folder / "served"))
    server = http.server.ThreadingHTTPServer((_bridge(), 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Repository(f"http://{server.server_address[0]!s}:{server.server_port}", fingerprint, folder)


def _bridge() -> str:
    shown = _run(["ip", "-4", "-o", "address", "show", "docker0"])
    return shown.split("inet ")[1].split("/")[0]


def _key(folder: Path, home: Mapping[str, str]) -> str:
    (folder / "gnupg").mkdir(mode=0o700)
    (folder / "served").mkdir()
    quick = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "stand-in <stand-in@example.com>"]
    _run([*quick, "rsa3072", "sign", "never"], home)
    (folder / "served" / "gpgkey").write_text(_run(["gpg", "--armor", "--export"], home))
    listing = _run(["gpg", "--list-keys", "--with-colons"], home)
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))


def _package(folder: Path, place: Path, package: str, version: str) -> None:
    tree = folder / "trees" / f"{package}_{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    depends = ", ".join(f"{name} (= {version})" for name in DEPENDS[package])
    control = (
        f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: stand-in <stand-in@example.com>\n"
    )
    control += f"Depends: {depends}\n" if depends else ""
    (tree / "DEBIAN" / "control").write_text(control + "Description: stand-in\n")
    if package == BASE:
        ctk = f'#!/bin/sh\necho "NVIDIA Container Toolkit CLI version {version.split("-")[0]}"\n'
        programs = {
            "nvidia-ctk": ctk,
            "nvidia-container-runtime": RUNTIME,
            "nvidia-container-runtime-hook": "#!/bin/sh\n",
        }
        for name, text in programs.items():
            program = tree / "usr/bin" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(text)
            program.chmod(0o755)
        # The real one reloads systemd too, which can take GPUs from running containers.
        script = tree / "DEBIAN" / "postinst"
        script.write_text("#!/bin/sh\n[ ! -d /run/systemd/system ] || systemctl daemon-reload\n")
        script.chmod(0o755)
    _run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(place)])


def _index(place: Path, home: Mapping[str, str]) -> None:
    (place / "Packages").write_text(_run(["apt-ftparchive", "packages", "."], cwd=place))
    (place / "Release").write_text(_run(["apt-ftparchive", "release", "."], cwd=place))
    _run(["gpg", "--batch", "--yes", "--clearsign", "-o", "InRelease", "Release"], home, place)


def _run(argv: list[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(
        argv, env={**os.environ, **(environment or {})}, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stderr}")
    return done.stdout
