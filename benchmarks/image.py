"""What the image costs to build, against the document's way: four `pip install` lines without cache mounts.

    .venv/bin/python benchmarks/image.py

Both on the same base with the same versions of the same packages (the documented list without what needs torch), in an
engine of their own that starts empty, one after the other in one run; seconds of wall time, `fab` and SSH included in
ours. "One package more" adds it to the last of the document's four lines, where it costs least, and another one to the
first, where it costs most; in ours to `additions.pip`, which is what users do, and then to the groups that these lines
are in, which is what we do. The size is what each image adds to the base.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests import testbed  # noqa: E402
from tests.testbed import TestHost  # noqa: E402

REQUIREMENTS = ROOT / "docker/requirements"
BASE = "gpudock/base:bookworm"
LAST, FIRST = ("app", "polars"), ("notebook", "duckdb")  # the group and the package that is added to it

# The document's lines 137 to 140, without torch and what is built on it, dead names in their living form.
LINES = (
    "pip jupyterlab numpy matplotlib pymysql scipy pandas seaborn tqdm scikit-learn",
    "gradio openai pyyaml langchain pymilvus dashscope beautifulsoup4",
    "tiktoken sse-starlette tavily-python pinecone networkx",
    "fastapi uvicorn mdtex2html pydantic mysql-connector-python",
)
ROWS = (
    "cold",
    "one package more: first line, additions.pip",
    "another one: last line, additions.pip",
    "one package more: first line, group notebook",
    "one package more: last line, group app",
    "nothing changed",
)
DOCUMENTED = """FROM {base}
COPY ca.crt constraints.txt /
ENV PIP_CERT=/ca.crt PATH=/opt/envs/chatbot/bin:$PATH
RUN python3 -m venv /opt/envs/chatbot
{installs}
"""


def main() -> None:
    """Build each way cold, with one package more, and with nothing changed; print a table."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        host = testbed.start("trixie-docker", key)
        try:
            table(host, Path(folder))
        finally:
            host.remove()


def table(host: TestHost, folder: Path) -> None:
    """Measure on a host, and print."""
    clone = checkout(folder)
    host.write("/srv/bootstrap-base", (ROOT / "docker/bootstrap-base").read_text())
    host.sh(f"sh /srv/bootstrap-base bookworm {BASE} >/srv/log 2>&1 || {{ tail /srv/log; exit 1; }}")
    config = testbed.ssh_config(folder / "config", [("host", host, "root")])
    document(host, LINES)
    cold, size = timed(lambda: documented(host)), added(host, "documented")
    document(host, (*LINES[:-1], f"{LINES[-1]} {LAST[1]}"))
    last, same = timed(lambda: documented(host)), timed(lambda: documented(host))
    document(host, (f"{LINES[0]} {FIRST[1]}", *LINES[1:]))
    first = timed(lambda: documented(host))
    ours = [timed(lambda: build(clone, config))]
    smaller = added(host, "cuda_container_chatbot")
    for _, package in (FIRST, LAST):
        ours += [timed(partial(build, clone, config, f"additions.pip=[{package}]"))]
    for group, package in (FIRST, LAST):
        with_more(clone, group, package)
        ours += [timed(lambda: build(clone, config))]
    ours += [timed(lambda: unchanged(clone, config))]
    print(f"{'':<52}{'document':>10}{'gpudock':>10}   ratio")
    for name, before, after in zip(ROWS, (cold, first, last, first, last, same), ours, strict=True):
        print(f"{name:<52}{before:>8.1f} s{after:>8.1f} s   {after / before:.2f}")
    print(f"{'size on top of the base':<52}{size:>7.0f} MB{smaller:>7.0f} MB   {smaller / size:.2f}")


def timed(work: Callable[[], object]) -> float:
    """Seconds that a function takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def document(host: TestHost, lines: tuple[str, ...]) -> None:
    """Put the document's way on the host: its four lines, held to the versions of our locks."""
    locks = "".join((REQUIREMENTS / f"{name}.txt").read_text() for name in ("notebook", "app"))
    pins = re.findall(r"^([a-z0-9][\w.-]*==\S+(?: ;[^\\\n]+)?)", locks, re.MULTILINE)
    installs = "\n".join(f"RUN pip install -c /constraints.txt {line}" for line in lines)
    host.write("/srv/documented/constraints.txt", "\n".join(sorted(set(pins))) + "\n")
    host.write("/srv/documented/Dockerfile", DOCUMENTED.format(base=BASE, installs=installs))
    host.sh("cp -L /etc/ssl/certs/ca-certificates.crt /srv/documented/ca.crt")


def documented(host: TestHost) -> None:
    """Build the document's way."""
    host.sh("cd /srv/documented && docker build -q -t documented . >/dev/null 2>/tmp/log || { tail /tmp/log; exit 1; }")


def checkout(folder: Path) -> Path:
    """Copy this checkout, so that a list of packages can be changed."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    subprocess.run(["cp", "-r", str(ROOT / "docker"), str(ROOT / "gpudock"), str(clone)], check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    return clone


def with_more(clone: Path, group: str, package: str) -> None:
    """Add a package to a group, locked as `image.lock` would."""
    folder = clone / "docker/requirements"
    uv = [
        sys.prefix + "/bin/uv",
        "pip",
        "compile",
        "-q",
        "--universal",
        "--python-version",
        "3.10",
        "--generate-hashes",
    ]
    lock = subprocess.run(
        [*uv, "--no-header", "--no-annotate", "-"], input=package, capture_output=True, text=True, check=True
    )
    for name, text in ((f"{group}.in", f"{package}\n"), (f"{group}.txt", lock.stdout)):
        (folder / name).write_text((folder / name).read_text() + text)


def build(clone: Path, config: Path, *overrides: str) -> list[dict[str, object]]:
    """Run image.build on the host and return its rows."""
    given = [word for override in ("image.groups=[notebook,app]", *overrides) for word in ("--set", override)]
    argv = [str(clone / "fab"), "-S", str(config), "-H", "host", "image.build", "--json"]
    done = subprocess.run([*argv, *given], cwd=clone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def unchanged(clone: Path, config: Path) -> None:
    """The same again has to find nothing to do."""
    if build(clone, config)[0]["actions"]:
        raise RuntimeError("image.build found something to do where nothing had changed")


def added(host: TestHost, image: str) -> float:
    """The megabytes that an image adds to the base."""
    sizes = host.sh(f"docker image inspect --format '{{{{.Size}}}}' {image} {BASE}").split()
    return (int(sizes[0]) - int(sizes[1])) / 1e6


if __name__ == "__main__":
    main()
