"""The stand-in packages, and the signed index that apt reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

STABLE = ("1.18.0-1", "1.19.1-1", "1.20.0-1")
EXPERIMENTAL = ("1.21.0~rc.1-1",)
CHANNELS = {"stable": STABLE, "experimental": EXPERIMENTAL}
TOOLKIT, BASE = "nvidia-container-toolkit", "nvidia-container-toolkit-base"
TOOLS, LIBRARY = "libnvidia-container-tools", "libnvidia-container1"

# As in packaging/debian/control of the real toolkit since 1.18: exact versions, so a partial pin cannot resolve.
DEPENDS = {TOOLKIT: (BASE, TOOLS), BASE: (), TOOLS: (LIBRARY,), LIBRARY: ()}
PROGRAMS = Path(__file__).parent / "programs"
SILENT = ("nvidia-container-runtime-hook", "nvidia-cdi-hook")

# The real package reloads systemd too, which can take GPUs from running containers.
POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
"""
LIST = """deb https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /
#deb https://nvidia.github.io/libnvidia-container/experimental/deb/$(ARCH) /
"""


def build(folder: Path, served: Path) -> str:
    """Make the whole tree that is served and return the fingerprint of its signing key.

    Needs gnupg, dpkg and apt-utils; the key pair stays in `folder`.
    """
    home = {"GNUPGHOME": str(folder / "gnupg")}
    served.mkdir(parents=True)
    fingerprint = _key(folder, served, home)
    architecture = run(["dpkg", "--print-architecture"]).strip()
    for channel, versions in CHANNELS.items():
        place = served / channel / "deb" / architecture
        place.mkdir(parents=True)
        for version in versions:
            for package in DEPENDS:
                _package(folder / "trees" / f"{package}_{version}", place, package, version, architecture)
        _index(place, home)
    (served / "stable" / "deb" / f"{TOOLKIT}.list").write_text(LIST)
    return fingerprint


def make_key(home: Path) -> None:
    """Make a folder of gpg's with a key pair that signs."""
    home.mkdir(mode=0o700)
    quick = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "stand-in <stand-in@example.com>"]
    run([*quick, "rsa3072", "sign", "never"], {"GNUPGHOME": str(home)})


def _key(folder: Path, served: Path, home: Mapping[str, str]) -> str:
    make_key(folder / "gnupg")
    (served / "gpgkey").write_text(run(["gpg", "--armor", "--export"], home))
    listing = run(["gpg", "--list-keys", "--with-colons"], home)
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))


def _package(tree: Path, place: Path, package: str, version: str, architecture: str) -> None:
    (tree / "DEBIAN").mkdir(parents=True)
    depends = [f"{name} (= {version})" for name in DEPENDS[package]]
    if package == BASE:
        depends.append("python3")  # the stand-in programs are Python; the real ones need nothing
        for path, (text, mode) in programs(version).items():
            place_of = tree / path.lstrip("/")
            place_of.parent.mkdir(parents=True, exist_ok=True)
            place_of.write_text(text)
            place_of.chmod(mode)
        (tree / "DEBIAN" / "postinst").write_text(POSTINST)
        (tree / "DEBIAN" / "postinst").chmod(0o755)
        configuration = tree / "etc" / "nvidia-container-runtime" / "config.toml"
        configuration.parent.mkdir(parents=True)
        configuration.write_text("# stand-in\n")
        (tree / "DEBIAN" / "conffiles").write_text("/etc/nvidia-container-runtime/config.toml\n")
    fields = {
        "Package": package,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "stand-in <stand-in@example.com>",
        "Depends": ", ".join(depends),
        "Description": "stand-in for tests",
    }
    control = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    (tree / "DEBIAN" / "control").write_text(control)
    run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(place)])


def programs(version: str) -> Mapping[str, tuple[str, int]]:
    """The programs of a version: text and mode by path."""
    upstream = version.rpartition("-")[0].replace("~", "-")
    texts = dict.fromkeys(SILENT, "#!/bin/sh\nexit 0\n")
    for name in ("nvidia-ctk", "nvidia-container-runtime"):
        texts[name] = (PROGRAMS / name).read_text().replace("@VERSION@", upstream)
    return {f"/usr/bin/{name}": (text, 0o755) for name, text in texts.items()}


def _index(place: Path, home: Mapping[str, str]) -> None:
    (place / "Packages").write_text(run(["apt-ftparchive", "packages", "."], cwd=place))
    (place / "Release").write_text(run(["apt-ftparchive", "release", "."], cwd=place))
    run(["gpg", "--batch", "--yes", "--clearsign", "-o", "InRelease", "Release"], home, place)


def run(argv: list[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it prints. Raises RuntimeError where it fails."""
    done = subprocess.run(
        argv, env={**os.environ, **(environment or {})}, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stderr}")
    return done.stdout
