"""Look at an image from within: leftovers, imports, services. Prints one JSON object on its last line.

Sent into a throw-away container by image.check, and run by the environment's own Python as root.
"""

from __future__ import annotations

import glob
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# What a build leaves behind where nobody tidies up: caches, and things that no two containers should share.
LEFTOVERS = {
    "apt's lists": "/var/lib/apt/lists/*_*",
    "apt's packages": "/var/cache/apt/archives/*.deb",
    "caches of pip, uv, conda": "/root/.cache/*",
    "conda's packages": "/opt/conda/pkgs/*",
    "temporary files": "/tmp/*",  # noqa: S108
    "SSH host keys": "/etc/ssh/ssh_host_*",
    "SSH host keys on the volume's place": "/etc/ssh/keys/*",
    "build secrets": "/run/secrets/*",
    "a login for the network": "/root/.netrc",
    "a login for the index": "/root/.pypirc",
    "a login for a registry": "/root/.docker/config.json",
    "private keys": "/root/.ssh/id_*",
}
WITH_ADDRESSES = ("/etc/pip.conf", "/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/apt.conf.d/*",
                  "/root/.config/*/*", "/root/.condarc", "/opt/conda/.condarc", "/opt/envs/*/pip.conf",
                  "/etc/environment", "/etc/profile.d/*")  # fmt: skip
PASSWORD = re.compile(r"://[^/:@\s]+:[^@/\s]+@")
NOT_PACKAGES = {"test", "tests", "docs", "doc", "examples", "benchmarks", "scripts", "tools"}
TOOLS = ("tar", "curl", "wget", "ps", "git", "sudo")  # VS Code's and JetBrains' servers need the first four
WANTED_OF_SSHD = {"allowtcpforwarding": "yes", "subsystem": "sftp", "kbdinteractiveauthentication": "no"}
OLDEST_GLIBC = (2, 28)  # VS Code's server, since 2024

Row = tuple[str, str, str]  # what was looked at; ok, wrong or note; what was found


def leftovers() -> list[Row]:
    """Caches, host keys and secrets that the image should not hold."""
    found = []
    for name, pattern in LEFTOVERS.items():
        paths = glob.glob(pattern)
        if paths:
            size = subprocess.run(["du", "-sch", *paths], capture_output=True, text=True, check=False).stdout
            found.append(("leftovers", "wrong", f"{name}: {paths[0]} ({size.split()[-2]})"))
    for pattern in WITH_ADDRESSES:
        for path in glob.glob(pattern):
            if os.path.isfile(path) and PASSWORD.search(Path(path).read_text(errors="replace")):
                found.append(("leftovers", "wrong", f"an address with a password in {path}"))
    return found or [("leftovers", "ok", "no caches, host keys or secrets")]


def import_names(distribution: importlib.metadata.Distribution) -> list[str]:
    """The names a distribution is imported by: those it declares, else those of the files it has installed."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    names = set(declared)
    for file in [] if declared else distribution.files or ():
        first = file.parts[0]
        if len(file.parts) > 1 and file.suffix in (".py", ".so"):
            names.add(first)
        elif file.suffix in (".py", ".so"):
            names.add(first.partition(".")[0])
    names = {name.replace("/", ".") for name in names}
    usable = {name for name in names if name.isidentifier() and name not in NOT_PACKAGES}
    # One that is called like the distribution is what people import; others beside it may want more (duckdb's do).
    own = {name for name in usable if name.lower() == distribution.metadata["Name"].lower().replace("-", "_")}
    return sorted(own or {name for name in usable if not name.startswith("_")} or usable)


def imported(name: str) -> tuple[str, str, str]:
    """A distribution, its version, and why it cannot be imported (empty: it can)."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return name, "", "is not installed"
    names = import_names(distribution)
    code = f"import {', '.join(names)}" if names else ""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return name, distribution.version, f"{code}: takes more than 300 s"
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return name, distribution.version, "" if done.returncode == 0 else f"{code}: {lines[-1]}"


def imports(names: list[str]) -> list[Row]:
    """Every top-level package of the groups, each imported in a process of its own."""
    with ThreadPoolExecutor(max(os.cpu_count() or 1, 2)) as pool:
        results = list(pool.map(imported, names))
    bad = [(name, version, why) for name, version, why in results if why]
    rows: list[Row] = [("imports", "wrong", f"{name} {version}: {why}") for name, version, why in bad]
    return [*rows, ("imports", "wrong" if bad else "ok", f"{len(names) - len(bad)} of {len(names)} packages import")]


def torch() -> dict[str, str]:
    """The torch that is installed, and the CUDA it was built for."""
    code = "import json, torch; print(json.dumps({'version': torch.__version__, 'cuda': torch.version.cuda or ''}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def services() -> list[Row]:
    """Switch both services on, start the container's real processes, and see that they answer."""
    Path("/etc/gpudock/services").mkdir(parents=True, exist_ok=True)
    Path("/etc/gpudock/jupyter").mkdir(exist_ok=True)
    Path("/etc/gpudock/jupyter/token").write_text(os.urandom(16).hex())
    for name in ("ssh", "jupyter"):
        Path(f"/etc/gpudock/services/{name}").write_text("on\n")
    with open("/run/gpudock-check.log", "w") as log:
        main_process = subprocess.Popen(["/usr/local/sbin/gpudock-start"], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 300  # host keys take a slow machine long, and without them sshd -t finds fault
        supervised = "/run/service/ssh/supervise"
        while not os.path.isdir(supervised) and main_process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        rows = sshd()
        if rows[0][1] == "wrong":  # it would only be waited for in vain
            os.remove("/etc/gpudock/services/ssh")
        said = run("gpudock-service", "apply")[1]
        return [*rows, *(service(name, said) for name in ("ssh", "jupyter"))]
    finally:
        main_process.terminate()


def service(name: str, said: str) -> Row:
    """Whether a service is up and answers; `said` is what was said when they were started."""
    state = run("sv", "status", f"/run/service/{name}")[1].split(";")[0].replace("/run/service/", "")
    if f"{name} answers" in said:
        return ("services", "ok", f"{state}: answers")
    return ("services", "wrong", f"{state}: does not answer; {said}")


def sshd() -> list[Row]:
    """Whether sshd takes its configuration, and what it makes of it."""
    code, said = run("/usr/sbin/sshd", "-t")
    rows: list[Row] = [("sshd -t", "wrong" if code else "ok", said or "takes its configuration")]
    effective = dict(line.split(" ", 1) for line in run("/usr/sbin/sshd", "-T")[1].split("; ") if " " in line)
    for key, value in WANTED_OF_SSHD.items():
        found = effective.get(key, "(unset)")
        rows.append(("sshd", "ok" if found.startswith(value) else "wrong", f"{key} {found}"))
    return rows


def tools() -> list[Row]:
    """What remote editors need, and JupyterLab's version."""
    missing = [name for name in TOOLS if not shutil.which(name)]
    glibc = platform.libc_ver()[1]
    new = tuple(map(int, glibc.split(".")[:2])) >= OLDEST_GLIBC
    library = bool(glob.glob("/usr/lib/*/libstdc++.so.6"))
    good = new and library and not missing
    lacks = f"; missing: {', '.join([*missing, *([] if library else ['libstdc++'])])}" if missing or not library else ""
    code, lab = run("jupyter", "lab", "--version")
    return [
        ("editors", "ok" if good else "wrong", f"glibc {glibc}{lacks}"),
        ("JupyterLab", "wrong" if code else "ok", lab.split("; ")[-1] if lab else "does not start"),
    ]


def run(*argv: str) -> tuple[int, str]:
    """Run a program and return its exit code and all that it prints."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, "; ".join((done.stdout + done.stderr).split("\n")).strip("; ")


def main(names: list[str]) -> None:
    """Look at everything, leftovers first: what follows makes some."""
    found: dict[str, Any] = {"rows": [*leftovers(), *imports(names), *tools(), *services()], "torch": torch()}
    print(json.dumps(found))
