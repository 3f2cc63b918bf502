"""A stand-in for Miniforge's installer, as releases are out of reach: served, and the settings that name it."""

from __future__ import annotations

import hashlib

from tests.testbed import TestHost

# What it makes is a Python of its own prefix, as conda's are, and no virtual environment.
INSTALLER = r"""#!/bin/bash
[ "$1 $2" = "-b -p" ] || exit 1
mkdir -p "$3/bin" "$3/etc/profile.d" "$3/pkgs"
cat >"$3/bin/conda" <<'CONDA'
#!/bin/sh
[ "$1" = create ] || { echo "the stand-in knows no $1"; exit 1; }
echo "$*" >/opt/conda/asked
while [ "$1" != --prefix ]; do shift; done
version=${3#python=}
mkdir -p "$2/bin" "$2/lib" "$2/conda-meta"
cp "/usr/bin/python$version" "$2/bin/" && ln -s "python$version" "$2/bin/python"
cp -r "/usr/lib/python$version" "$2/lib/" && rm "$2/lib/python$version/EXTERNALLY-MANAGED"
cd "$2/lib/python$version" && mkdir site-packages && rm -f sitecustomize.py
sed -i 's#/local/#/#; s/dist-packages/site-packages/' sysconfig.py
echo "import site; site.addsitedir('$2/lib/python$version/site-packages')" >sitecustomize.py
CONDA
chmod +x "$3/bin/conda"
cat >"$3/etc/profile.d/conda.sh" <<'PROFILE'
conda() { [ "$1" != activate ] || export PATH="/opt/envs/$2/bin:$PATH" CONDA_DEFAULT_ENV="$2"; }
PROFILE
"""
DIGEST = hashlib.sha256(INSTALLER.encode()).hexdigest()


def serve(host: TestHost) -> str:
    """Serve it to the builds on a host; the address."""
    for machine in ("x86_64", "aarch64"):
        host.write(f"/srv/miniforge/Miniforge3-1.2.3-4-Linux-{machine}.sh", INSTALLER)
    host.sh("cd /srv/miniforge && setsid python3 -m http.server 8900 >/dev/null 2>&1 </dev/null &")
    host.until_listening(8900)
    address = host.sh("ip -4 -o address show docker0 | grep -oE '([0-9]+[.]){3}[0-9]+' | head -n 1").strip()
    return f"http://{address}:8900"


def settings(digest: str, mirror: str) -> tuple[str, ...]:
    """The settings of the conda path, for an installer of this SHA-256 from this mirror."""
    pinned = f"image.miniforge={{version: 1.2.3-4, x86_64: {digest}, aarch64: {digest}}}"
    return "image.env=conda", pinned, f"mirrors.miniforge={mirror}", f"mirrors.conda={mirror}"
