"""What of the toolkit is on the host: packages, repository, daemon.json, the daemon that reads it, our record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpudock.actions import Action
from gpudock.answers import Answer, Answers
from gpudock.errors import CannotTell, Refused
from gpudock.questions import Questions, files
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import engine, login, ports
from gpudock.steps.engine import Engine
from gpudock.steps.gpu_mode import numbers
from gpudock.steps.toolkit import cdi, key, record, repository, rpm
from gpudock.steps.toolkit.change import DaemonFile, decode
from gpudock.steps.toolkit.daemon import PATH
from gpudock.steps.toolkit.record import Record

# All four: apt cannot resolve an older toolkit unless its libraries are pinned too (nvidia-container-toolkit#1100).
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)

CONFIGURATION = "/etc/nvidia-container-runtime"

# Debian has rpm for those who want it, and rpm's distributions dpkg. What rpm has not is told in a sentence. rpm's
# database keeps the keys that it trusts as packages.
VERSIONS = (
    record.HELD
    + """if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f '${Package} ${Version} ${db:Status-Status} ${db:Status-Want}\\n' "$@" 2>/dev/null
fi
if command -v rpm >/dev/null; then
  rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' "$@" gpg-pubkey 2>/dev/null | while read -r name version rest; do
    [ -n "$rest" ] || echo "$name $version installed $(held "$name" && echo hold || echo install)"
  done
fi; :"""
)

# Of the running daemon: its program and flags, and the times that tell whether it is older than the toolkit, or than a
# change that only a start takes up. `path` is where daemon.json really is: a link to it stays a link.
DAEMON = """pid= path=$1; words() { tr '\\0' '\\n' <"/proc/$1/cmdline"; }
[ ! -r /var/run/docker.pid ] || read -r pid </var/run/docker.pid
words=$(words "${pid:-none}")
case $words in *dockerd*) ;; *) words=; pid=$(pidof -s dockerd 2>/dev/null) && words=$(words "$pid") ;; esac
set -f; before=; IFS='
'; for word in $words; do
  printf 'word %s\\n' "$word"
  [ "$before" != --config-file ] || path=$word
  case $word in --config-file=*) path=${word#*=} ;; esac; before=$word
done
[ ! -L "$path" ] || path=$(readlink -m "$path"); printf 'path %s\\n' "$path"
stat --printf 'stat %a %U:%G %W %Y %Z %n\\n' "$3" "$2" /var/run/docker.pid "$path" 2>/dev/null
[ ! -e "$path" ] || { echo text; exec cat "$path"; }"""


@dataclass(frozen=True)
class Toolkit:
    """What of the toolkit is on the host. `fingerprints` are the keyring's keys, `source` the list's text.

    `others` are other files that name the repository. `outdated` tells that dockerd runs since before the toolkit came,
    so that only a restart lets it hand out GPUs by `cdi` or `gpus`; `running` are the containers that would stop.
    `root` is the engine's folder, `manager` installs packages.
    `login` is what `login.found` says of the mirror's login, `preferences` what apt may take from the CUDA repository.
    `doubled` are packages, as name-version, that a transaction of rpm which was cut off left beside their newer selves;
    `trusted` are the keys in rpm's database.
    """

    engine: Engine
    fingerprints: tuple[str, ...]
    key_mode: str
    source: str | None = field(metadata={"secret": True})  # of dnf and yum it can hold a mirror's login
    others: Mapping[str, str] = field(metadata={"secret": True})
    versions: Mapping[str, str]
    held: tuple[str, ...] = ()
    daemon: DaemonFile = field(default=DaemonFile(PATH, None), metadata={"secret": True})
    outdated: bool = False
    running: tuple[str, ...] = ()
    record: Record = field(default=Record(), metadata={"secret": True})
    root: str = ""
    specification: cdi.Specification = field(default=cdi.Specification(), metadata={"secret": True})
    manager: str = "apt"
    login: str = field(default="", metadata={"secret": True})
    preferences: str | None = None
    doubled: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The installed toolkit's version, empty where there is none."""
        return self.versions.get(PACKAGES[0], "")

    @property
    def paths(self) -> tuple[str, str, str]:
        """The files that the steps change: NVIDIA's key, its source, and daemon.json."""
        if self.manager == "apt":
            return repository.KEYRING, repository.SOURCE, self.daemon.path
        return rpm.KEY, rpm.source(self.manager), self.daemon.path

    @property
    def experimental(self) -> bool:
        """Whether the experimental channel is switched on."""
        return rpm.experimental(self.source) if self.manager != "apt" else repository.experimental(self.source)


def questions(settings: Settings) -> Questions:
    """What the five steps have to know."""
    return {
        **engine.questions(settings),
        **repository.QUESTIONS,
        "toolkit.key": files(repository.KEYRING, rpm.KEY),
        **rpm.QUESTIONS,
        "toolkit.login": login.asked(repository.LOGIN, rpm.ZYPPER_LOGIN),
        **record.questions(settings),
        **cdi.QUESTIONS,
        "toolkit.versions": question(VERSIONS, *PACKAGES),
        "toolkit.daemon": question(DAEMON, PATH, marker(settings), CONFIGURATION),
        **ports.CONTAINERS,
    }


def marker(settings: Settings) -> str:
    """The file whose time tells when daemon.json last got a key that only a start of Docker takes up."""
    return f"{record.folder(settings)}/needs-start"


def read(settings: Settings, answers: Answers) -> Toolkit:
    """Make a Toolkit of the answers."""
    known = engine.read(settings, answers)
    rows = [line.split() for line in answers["toolkit.versions"].out.splitlines()]
    there = [(row[0], row[1]) for row in rows if row[2:3] == ["installed"]]
    newest = dict(sorted(there, key=lambda row: numbers(row[1])))
    keys = answers["toolkit.key"].files
    keyring = keys.get(repository.KEYRING) or keys.get(rpm.KEY)
    daemon = answers["toolkit.daemon"]
    manager = rpm.manager(known.machine, answers)
    info = engine.info(answers)
    return Toolkit(
        engine=known,
        fingerprints=key.fingerprints(key.dearmor(keyring.content)) if keyring else (),
        key_mode=keyring.mode if keyring else "",
        source=answers["toolkit.source"].file() if manager == "apt" else rpm.read_source(manager, answers),
        others=repository.read_others(answers, apt=manager == "apt"),
        versions={name: version for name, version in newest.items() if name in PACKAGES},
        held=tuple(dict.fromkeys(row[0] for row in rows if row[3:] == ["hold"])),
        daemon=_daemon_file(daemon),
        outdated=_outdated(settings, daemon),
        running=tuple(row.split()[0] for row in ports.containers(answers)),
        record=record.read(settings, answers),
        root=str(info.get("DockerRootDir") or ""),
        specification=cdi.read(answers, info),
        manager=manager,
        login=login.found(answers["toolkit.login"]),
        preferences=answers["toolkit.preferences"].file(),
        doubled=tuple(f"{name}-{version}" for name, version in there if newest[name] != version and name in PACKAGES),
        trusted=tuple(f"{name}-{version}" for name, version in there if name == "gpg-pubkey"),
    )


def skip(settings: Settings, toolkit: Toolkit) -> str | None:
    """Leave the toolkit out of `setup` on a machine without a GPU. Raises Refused where one is required."""
    if toolkit.engine.machine.driver:
        return None if settings.gpu.use != "off" else "gpu.use is off"
    if settings.gpu.use == "required":
        raise Refused("gpu.use is required, but no NVIDIA driver answers here. Install the driver, then try again.")
    return "no NVIDIA driver here"


def remember(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Make the record, where there is none yet."""
    return record.remember(settings, toolkit.record, toolkit.paths, PACKAGES)


def _daemon_file(answer: Answer) -> DaemonFile:
    if not answer.ok:
        raise CannotTell(f"Docker's daemon.json is there and cannot be read: {answer.err.strip()}")
    head, mark, text = answer.raw.partition(b"\ntext\n")
    rows = [line.partition(" ") for line in head.decode(errors="replace").splitlines()]
    path = next(value for name, _, value in rows if name == "path")
    words = tuple(value for name, _, value in rows if name == "word" and value)
    mode, owner, *_ = _stat(answer).get(path, ["644", "root:root"])
    dockerd = words[0] if words else "dockerd"
    return DaemonFile(path, decode(text) if mark else None, mode, owner, dockerd, _flags(words[1:]))


def _outdated(settings: Settings, answer: Answer) -> bool:
    """Whether dockerd, which writes its pid file when it starts, runs since before the toolkit came or needed a start.

    The folder's birth tells when the toolkit first came: an upgrade, which needs no start, leaves it.
    """
    times = {path: [int(word) if word.isdigit() else 0 for word in row[2:]] for path, row in _stat(answer).items()}
    started = times.get("/var/run/docker.pid")
    if not started or not answer.out.startswith("word "):
        return False
    came, marked = times.get(CONFIGURATION, [0]), times.get(marker(settings), [0])
    return max(came[0], marked[-1]) > started[1]


def _stat(answer: Answer) -> Mapping[str, list[str]]:
    """Mode, owner, and the times of birth, content and change of each file that was there."""
    rows = [line.split(" ", 6) for line in answer.out.partition("\ntext\n")[0].splitlines()]
    return {row[6]: row[1:6] for row in rows if row[0] == "stat" and len(row) == 7}


def _flags(words: tuple[str, ...]) -> tuple[str, ...]:
    """The daemon's flags without --config-file and its value."""
    return tuple(
        word
        for word, before in zip(words, ("", *words), strict=False)
        if not word.startswith("--config-file") and before != "--config-file"
    )
