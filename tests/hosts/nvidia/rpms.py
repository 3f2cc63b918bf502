"""The same stand-in as rpm packages: built by rpmbuild and createrepo_c on a host that has both, the index signed here."""

from __future__ import annotations

import io
import subprocess
import tarfile

from tests.engine import client, docker
from tests.hosts.nvidia import packages
from tests.hosts.nvidia.packages import BASE, CHANNELS, DEPENDS, LIBRARY, TOOLKIT
from tests.hosts.nvidia.repository import PATH, Repository
from tests.testbed import TestHost

# One source for the four packages of a version. As in the real ones the versions are exact, and systemd is reloaded
# after the transaction (packaging/rpm/SPECS). What the stand-in programs run on is none of rpm's here.
HEAD = """%define _binary_payload w0.ufdio
Name: {name}
Version: {version}
Release: {release}
Summary: stand-in for tests
License: Apache-2.0
AutoReqProv: no
{requires}
%description
stand-in
%install
cp -a %{{tree}}/. %{{buildroot}}
"""
PART = """%package -n {name}
Summary: stand-in for tests
AutoReqProv: no
{requires}
%description -n {name}
stand-in
"""
LIBRARY_FILES = """%files -n {library}
%post -n {library}
/sbin/ldconfig
"""
FILES = """%files -n {base}
%config(noreplace) /etc/nvidia-container-runtime/config.toml
/usr/bin/*
%posttrans -n {base}
[ ! -d /run/systemd/system ] || systemctl daemon-reload
"""
# rpm's database here knows nothing of the system's own programs, which scripts of packages and zypper itself need.
SYSTEM = """Name: system
Version: 1
Release: 1
Summary: stand-in for tests
License: Apache-2.0
Provides: /bin/sh glibc
%description
stand-in
%files
"""
BUILD = """cd /srv/rpms && for spec in */*.spec; do
  place=/srv/repository/${spec%%/*}/rpm/$(uname -m); mkdir -p "$place"
  rpmbuild -bb --quiet --define "tree $PWD/${spec%.spec}" --define '__os_install_post :' --define '_rpmdir /srv/built' \\
    "$spec" 2>&1
  mv /srv/built/*/*.rpm "$place"
done
for place in /srv/repository/*/rpm/*; do createrepo_c -q "$place"; done
rpmbuild -bb --quiet --define '_rpmdir /srv/built' system.spec 2>&1; rpm -i /srv/built/*/system-*.rpm"""


def serve_rpms(repository: Repository, host: TestHost) -> str:
    """Build the packages on a host with rpmbuild and createrepo_c, and have the repository serve them too.

    Returns the address of a mirror that serves the same with lists that another key has signed.
    """
    _send(host, _sources())
    host.sh(BUILD)
    for folder, home in ((PATH, "gnupg"), ("false", "false-gnupg")):
        served = repository.folder / f"rpms-{folder}"
        docker("cp", f"{host.name}:/srv/repository/.", str(served))
        secrets = repository.folder / home
        if not secrets.exists():
            packages.make_key(secrets)
        public = packages.run(["gpg", "--armor", "--export"], {"GNUPGHOME": str(secrets)})
        for index in served.glob("*/rpm/*/repodata/repomd.xml"):
            index.write_text(f"{index.read_text()}<!-- {folder} -->\n")  # lists that are known are not looked at again
            sign = ["gpg", "--batch", "--yes", "--armor", "--detach-sign", str(index)]
            packages.run(sign, {"GNUPGHOME": str(secrets)})
            index.with_name("repomd.xml.key").write_text(public)
        docker("cp", f"{served}/.", f"{repository.server.name}:/srv/served/{folder}/")
    return f"http://{repository.ip}/false"


def specification(version: str) -> str:
    """The spec file of all four packages of a version."""
    number, _, release = version.rpartition("-")
    exact = "Requires: {} = %{{version}}-%{{release}}\n"
    requires = {name: "".join(exact.format(need) for need in needs) for name, needs in DEPENDS.items()}
    head = HEAD.format(name=TOOLKIT, version=number, release=release, requires=requires[TOOLKIT])
    others = [name for name in DEPENDS if name != TOOLKIT]
    parts = [PART.format(name=name, requires=requires[name]) for name in others]
    empty = [f"%files -n {name}\n" for name in DEPENDS if name not in (BASE, LIBRARY)]
    return "\n".join([head, *parts, *empty, LIBRARY_FILES.format(library=LIBRARY), FILES.format(base=BASE)])


def _sources() -> bytes:
    """A folder a channel, with a spec file and a tree of files for each version, packed."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for channel, versions in CHANNELS.items():
            for version in versions:
                files = {
                    **packages.programs(version),
                    "/etc/nvidia-container-runtime/config.toml": ("# stand-in\n", 0o644),
                }
                for path, (text, mode) in files.items():
                    _add(archive, f"{channel}/{version}{path}", text, mode)
                _add(archive, f"{channel}/{version}.spec", specification(version), 0o644)
        _add(archive, "system.spec", SYSTEM, 0o644)
    return packed.getvalue()


def _add(archive: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    archive.addfile(entry, io.BytesIO(text.encode()))


def _send(host: TestHost, archive: bytes) -> None:
    argv = [client(), "exec", "-i", host.name, "sh", "-c", "mkdir -p /srv/rpms && tar -x -C /srv/rpms"]
    subprocess.run(argv, input=archive, check=True, capture_output=True)
