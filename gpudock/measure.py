"""How the mirrors of each layer answer from a host: a small file of each is asked for, all side by side."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpudock.errors import CannotTell
from gpudock.files import text
from gpudock.host import Host
from gpudock.network import Network

# Where a layer's own default is, and a small file below each choice. {id} and {release} are the host's: debian,
# trixie; {apt} is the host's own source. PyPI's own address is asked of pip, so that none stands here.
DEFAULTS = {
    "apt": "{apt}",
    "python": "https://github.com/astral-sh/python-build-standalone/releases/",
    "conda": "https://conda.anaconda.org",
    "miniforge": "https://github.com/conda-forge/miniforge/releases/",
    "docker": "https://download.docker.com",
    "toolkit": "https://nvidia.github.io/libnvidia-container",
    "registry": "registry-1.docker.io",
    "huggingface": "https://huggingface.co",
    "modelscope": "https://www.modelscope.cn",
}
SMALL_FILES = {
    "apt": "/{id}/dists/{release}/InRelease",
    "pypi": "/pip/",
    "conda": "/conda-forge/noarch/repodata_shards.msgpack.zst",
    "docker": "/linux/{id}/gpg",
    "toolkit": "/stable/deb/amd64/Packages",
    "huggingface": "/api/models/gpt2",
}
REGISTRY = "https://{host}/v2/"  # answers 401 to those who are not signed in
SECONDS = 6  # for one choice; all are asked side by side

# Standard input: the size of a CA bundle, the bundle, then a line `NUMBER ADDRESS` each. Addresses go to curl by its
# standard input, as they may hold a password. Prints `NUMBER CODE LATENCY BYTES SECONDS` each.
PROBE = r"""seconds=$1 python=$2
if command -v curl >/dev/null; then
  get() {
    printf 'url = "%s"\n' "$2" | curl -K - -sL --connect-timeout 4 --max-time "$seconds" --range 0-1048575 \
      -o /dev/null -w "$1 %{http_code} %{time_starttransfer} %{size_download} %{time_total}\n"
  }
elif command -v python3 >/dev/null; then
  get() { printf '%s\n' "$2" | timeout "$seconds" python3 -c "$python" "$1"; }
else
  echo "neither curl nor python3 is there: install curl"; exit 3
fi
folder=$(mktemp -d) || exit; trap 'rm -rf "$folder"' EXIT
read -r size; [ "$size" = 0 ] || { head -c "$size" >"$folder/ca"; export CURL_CA_BUNDLE="$folder/ca"; }
. /etc/os-release
case " $ID $ID_LIKE " in *" ubuntu "*) id=ubuntu ;; *) id=debian ;; esac
[ "$id$(uname -m)" != ubuntuaarch64 ] || id=ubuntu-ports
apt=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
  grep -v '^ *#' | grep -oE "https?://[^ ]+/$id/?( |$)" | head -n 1 | sed "s#/$id/* *\$##")
while read -r number address; do
  address=$(printf %s "$address" | sed "s#{apt}#$apt#; s#{id}#$id#; s#{release}#${UBUNTU_CODENAME:-$VERSION_CODENAME}#")
  get "$number" "$address" >"$folder/$number" 2>/dev/null &
done; wait; cat "$folder"/[0-9]*"""

# The same without curl: any Python 3, its standard library alone.
PYTHON = """import base64, os, ssl, sys, time, urllib.error, urllib.parse, urllib.request
address, began = urllib.parse.urlsplit(sys.stdin.readline().strip()), time.time()
login, _, place = address.netloc.rpartition("@")
asked = urllib.request.Request(address._replace(netloc=place).geturl(), headers={"Range": "bytes=0-1048575"})
if login:
    asked.add_header("Authorization", "Basic " + base64.b64encode(urllib.parse.unquote(login).encode()).decode())
try:
    context = ssl.create_default_context(cafile=os.environ.get("CURL_CA_BUNDLE"))
    answer = urllib.request.urlopen(asked, timeout=4, context=context)
except urllib.error.HTTPError as error:
    answer = error
first = answer.read(1)
latency = time.time() - began
size = len(first + answer.read(1048575))
print(sys.argv[1], answer.code, latency, size, time.time() - began)"""


@dataclass(frozen=True)
class Choice:
    """One way for one layer; an empty address is the layer's own default."""

    layer: str
    address: str
    preset: str


@dataclass(frozen=True)
class Measured:
    """How a choice answered: seconds to the first byte and to the last, bytes a second; 0 where it did not."""

    choice: Choice
    answers: bool
    latency: float = 0.0
    seconds: float = 0.0
    rate: float = 0.0

    @property
    def cost(self) -> float:
        """What the choices of a layer are compared by: the seconds for the same small file."""
        return self.seconds if self.answers else float("inf")


def measure(host: Host, wanted: Sequence[Choice], network: Network) -> list[Measured]:
    """Ask for a small file of each choice from the host, side by side, at most SECONDS each. Raises CannotTell."""
    lines = "".join(f"{number} {address}\n" for number, choice in enumerate(wanted) if (address := url(choice)))
    ca = "" if network.ca_bundle in ("", "auto") else text(Path(network.ca_bundle).expanduser(), "network.ca_bundle")
    data = f"{len(ca.encode())}\n{ca}{lines}".encode()
    done = host.do(("sh", "-c", PROBE, "sh", str(SECONDS), PYTHON), data=data, environment=network.environment)
    if done.code:
        raise CannotTell(f"{host.name}: cannot measure mirrors: {done.output.strip()}.")
    rows = {int(row[0]): row[1:] for row in map(str.split, done.output.splitlines()) if len(row) == 5}
    return [_measured(choice, rows.get(number, [])) for number, choice in enumerate(wanted)]


def url(choice: Choice) -> str:
    """The address of a choice's small file; empty where the default's is not known."""
    base = choice.address or (_pypi() if choice.layer == "pypi" else DEFAULTS[choice.layer])
    if choice.layer == "registry":
        return REGISTRY.format(host=base.removeprefix("https://").split("/")[0])
    return base.rstrip("/") + SMALL_FILES.get(choice.layer, "/") if base else ""


def _measured(choice: Choice, row: Sequence[str]) -> Measured:
    if not row or not (row[0].startswith("2") or (choice.layer == "registry" and row[0] == "401")):
        return Measured(choice, False)
    latency, size, seconds = map(float, row[1:])
    return Measured(choice, True, latency, seconds, size / max(seconds, 0.001))


@cache
def _pypi() -> str:
    """PyPI's own address, as pip's help names it; empty where this Python has no pip."""
    argv = [sys.executable, "-m", "pip", "install", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"\(default\s+(https?://[^\s)]+)\)", done.stdout)
    return found[1] if found else ""
