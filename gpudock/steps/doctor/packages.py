"""apt and dpkg: NVIDIA's entries and key, locks, and installations that broke off."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpudock.actions import Action, Run
from gpudock.answers import Answers
from gpudock.settings import Settings
from gpudock.steps import apt
from gpudock.steps.doctor import known
from gpudock.steps.doctor.rule import Rule, Seen
from gpudock.steps.toolkit import repository

SIGNED_BY = re.compile(r"signed-by[=:]\s*([^\]\s]+)", re.IGNORECASE)
UNSAFE = re.compile("docker|moby|containerd|runc|^linux-|nvidia|cuda|^libc6|systemd|^dbus|initramfs")
LONG = 600  # seconds: what an ordinary installation takes at most


def _files(answers: Answers) -> dict[str, set[str]]:
    """Each file with entries for NVIDIA's packages, with the keys it names."""
    files: dict[str, set[str]] = {}
    for line in answers["apt.entries"].out.splitlines():
        path, _, entry = line.partition(" ")
        files.setdefault(path, set()).update(SIGNED_BY.findall(entry) or [""])
    return files


def _conflict(settings: Settings, answers: Answers) -> Seen | None:
    files = _files(answers)
    keys = set().union(*files.values()) if files else set()
    if len(files) < 2 or len(keys) < 2:
        return None
    return Seen(f"{known.listed(sorted(files))} name NVIDIA's repository with {len(keys)} different Signed-By")


def _mend_conflict(settings: Settings, answers: Answers) -> Sequence[Action]:
    files = _files(answers)
    if repository.SOURCE not in files:
        return []
    others = repository.read_others(answers)
    return repository.switch_off({path: text for path, text in others.items() if path in files})


def _key(settings: Settings, answers: Answers) -> Seen | None:
    for line in answers["apt.keys"].out.splitlines():
        path, state, *rest = line.split()
        if state == "missing":
            return Seen(f"{path} is missing, and a package source names it")
        if rest[0] == "0" or rest[1] == "none":
            return Seen(f"{path} holds no key ({rest[0]} bytes)")
        if not int(state[-1]) & 4:
            return Seen(f"{path} has mode {state}: apt's own user cannot read it", f"chmod 0644 {path}")
    return None


def _mend_key(settings: Settings, answers: Answers) -> Sequence[Action]:
    rows = [line.split() for line in answers["apt.keys"].out.splitlines()]
    paths = [row[0] for row in rows if row[1] != "missing" and row[3] != "none" and not int(row[1][-1]) & 4]
    return [Run(f"let apt read {path}", ("chmod", "0644", path)) for path in paths]


def _locked(settings: Settings, answers: Answers) -> Seen | None:
    rows = [line.split(maxsplit=3) for line in answers["apt.lock"].out.splitlines()]
    if not rows:
        return None
    path, pid, age, process = rows[0]
    seconds = int(age) if age.isdigit() else 0
    text = f"{process} (process {pid}) has held {path} for {seconds // 60} min"
    return Seen(text, f"ps -f -p {pid}; journalctl -u unattended-upgrades -n 20" if seconds > LONG else "")


def _half(answers: Answers) -> list[tuple[str, str]]:
    """Each package that dpkg left half done: its name, and `reinstreq` where only another installation mends it."""
    rows = [line.split() for line in answers["doctor.half"].out.splitlines()]
    return [(row[2], row[0]) for row in rows if len(row) == 3]


def _broken(settings: Settings, answers: Answers) -> Seen | None:
    said = answers["doctor.audit"].out.strip()
    if not said:
        return None
    again = " ".join(name for name, state in _half(answers) if state == "reinstreq")
    names = f" ({known.listed([name for name, _ in _half(answers)])})" if _half(answers) else ""
    fix = f"apt-get install --reinstall {again} && dpkg --configure -a" if again else ""
    return Seen(f"dpkg says: {said.splitlines()[0]}{names}", fix)


def _mend_broken(settings: Settings, answers: Answers) -> Sequence[Action]:
    """Finish it, unless a package is among them whose configuration can stop containers or touch the driver."""
    half = [name for name, _ in _half(answers)]
    return [apt.finish(settings)] if half and not any(map(UNSAFE.search, half)) else []


RULES = (
    Rule(
        "apt-conflict", "error", "NVIDIA's package repository is named once, or with one key",
        "apt refuses every update with `Conflicting values set for option Signed-By`, also of other packages.",
        "{gpudock} toolkit.repo",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/170",
        ("apt.entries", "toolkit.others"), _conflict, _mend_conflict,
    ),
    Rule(
        "apt-key", "error", "the key of NVIDIA's repository is there and can be read",
        "apt answers `NO_PUBKEY DDCAE044F796ECB0` and does not take the repository.",
        "{gpudock} toolkit.repo",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/81",
        ("apt.keys",), _key, _mend_key,
    ),
    Rule(
        "apt-locked", "note", "no other package manager is at work",
        "Steps that install packages wait for it as long as apt.lock_timeout says.",
        "ps aux | grep -E 'apt|dpkg'",
        "https://github.com/ipspace/netlab/issues/2473",
        ("apt.lock",), _locked,
    ),
    Rule(
        "packages-broken", "error", "no package is half installed",
        "An installation broke off; the next one fails until it is finished.",
        "dpkg --configure -a",
        "https://manpages.debian.org/stable/dpkg/dpkg.1.en.html",
        ("doctor.audit", "doctor.half"), _broken, _mend_broken,
    ),
)  # fmt: skip
