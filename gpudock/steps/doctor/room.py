"""Room on the host: disks, inodes, inotify, ports, and a clock that is right."""

from __future__ import annotations

from collections.abc import Sequence

from gpudock.actions import Action, Write, shell
from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps import compose, ports
from gpudock.steps.doctor import known
from gpudock.steps.doctor.rule import Rule, Seen

GIB = 1 << 20  # in kB, df's unit
FULL, LOW = 2 * GIB, 20 * GIB  # the image with CUDA's libraries takes about 12 GiB while it is built
INOTIFY = "/etc/sysctl.d/60-gpudock-inotify.conf"
WANTED = {"max_user_instances": 512, "max_user_watches": 524288}
SKEW = 60  # seconds


def _disks(answers: Answers) -> list[tuple[str, str, int, int, int]]:
    """What, path, free kB, free inodes, inodes (0 where the file system does not count them) of each place."""
    rows = [line.split() for line in answers["doctor.disks"].out.splitlines()]
    return [
        (row[0], row[1], int(row[2]), int(row[4]) if row[4].isdigit() else 0, int(row[5]) if row[5].isdigit() else 0)
        for row in rows
        if len(row) == 6 and row[2].isdigit()
    ]


def _free(answers: Answers, below: int, at_least: int) -> Seen | None:
    rows = [row for row in reversed(_disks(answers)) if row[0] in ("engine", "containerd") or not at_least]
    short = {free: path for _, path, free, _, _ in rows if at_least <= free < below}
    if not short:
        return None
    return Seen(known.listed([f"{path}: {free / GIB:.1f} GiB free" for free, path in sorted(short.items())]))


def _inodes(settings: Settings, answers: Answers) -> Seen | None:
    short = [row for row in _disks(answers) if row[4] and row[3] * 50 < row[4]]
    return Seen(known.listed([f"{row[1]}: {row[3]} of {row[4]} inodes free" for row in short])) if short else None


def _limits(answers: Answers) -> dict[str, int]:
    rows = [line.split() for line in answers["doctor.limits"].out.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def _inotify(settings: Settings, answers: Answers) -> Seen | None:
    short = {key: value for key, value in _limits(answers).items() if value < WANTED[key] // 4}
    if not short:
        return None
    return Seen(known.listed([f"fs.inotify.{key} is {value}" for key, value in sorted(short.items())]))


def _mend_inotify(settings: Settings, answers: Answers) -> Sequence[Action]:
    text = "".join(f"fs.inotify.{key} = {max(value, _limits(answers).get(key, 0))}\n" for key, value in WANTED.items())
    load = 'while IFS=" =" read -r key value; do echo "$value" >"/proc/sys/$(echo "$key" | tr . /)"; done <"$1"'
    return [Write("keep higher inotify limits", INOTIFY, text), shell("put the inotify limits in force", load, INOTIFY)]


def _ports(settings: Settings, answers: Answers) -> Seen | None:
    others, listeners = ports.containers(answers), answers["ports.listeners"].out.splitlines()
    own, address = (settings.stack.name,), settings.stack.bind_address
    taken = [(port, ports.holder_of(port, own, others, listeners, address)) for port in compose.ports(settings)]
    held = [f"{port} by {holder}" for port, holder in taken if holder]
    return Seen(f"taken: {known.listed(held)}") if held else None


def _clock(settings: Settings, answers: Answers) -> Seen | None:
    lines = answers["network.clock"].out.splitlines()
    ahead = [int(line.split()[1]) for line in lines if line.startswith("ahead ")]
    if not ahead:
        raise CannotTell("the host does not tell its time")
    if abs(ahead[0]) > SKEW:
        return Seen(f"its clock is {_length(ahead[0])} this machine's")
    served = [line.split()[3] for line in answers["network.reach"].out.splitlines() if len(line.split()) == 4]
    off = [int(value) for value in served if value.lstrip("-").isdigit() and abs(int(value)) > SKEW]
    if off and len(off) == len([value for value in served if value != "-"]):
        return Seen(f"its clock is {_length(off[0])} that of the mirrors")
    if "NTPSynchronized=no" in lines and "NTP=yes" in lines:
        return Seen("its clock is right now, and no time server has confirmed it", severity="note")
    return None


def _length(seconds: int) -> str:
    size = abs(seconds)
    return (
        f"{size} s" * (size < 120) + f"{size // 60} min" * (size >= 120) + (" ahead of" if seconds > 0 else " behind")
    )


RULES = (
    Rule(
        "disk-full", "error", "each disk that matters has 2 GiB free",
        "Builds, pulls and container logs fail half-way with `no space left on device`.",
        "docker system df; docker builder prune; docker image prune",
        "https://docs.docker.com/engine/manage-resources/pruning/",
        ("doctor.disks",), lambda settings, answers: _free(answers, FULL, 0),
    ),
    Rule(
        "disk-low", "warning", "the engine's disk has 20 GiB free, for an image with CUDA",
        "The image with torch takes about 12 GiB while it is built. From Docker 29 on images lie under "
        "/var/lib/containerd, not in Docker's own folder.",
        "docker system df; docker builder prune   # or move data-root in daemon.json",
        "https://docs.docker.com/engine/storage/containerd/",
        ("doctor.disks",), lambda settings, answers: _free(answers, LOW, FULL),
    ),
    Rule(
        "inodes-low", "error", "each disk that matters has inodes left",
        "A disk with room and no inodes says `no space left on device` too; conda and node_modules eat them.",
        "docker system prune   # or a file system with more inodes",
        "https://docs.docker.com/engine/manage-resources/pruning/",
        ("doctor.disks",), _inodes,
    ),
    Rule(
        "inotify-low", "warning", "inotify allows what editors and JupyterLab need",
        "VS Code and JupyterLab say `too many open files` or `ENOSPC: System limit for number of file watchers "
        "reached`; all containers share the host's limit.",
        f"printf 'fs.inotify.max_user_instances = 512\\nfs.inotify.max_user_watches = 524288\\n' >{INOTIFY} "
        "&& sysctl --system",
        "https://code.visualstudio.com/docs/setup/linux#_visual-studio-code-is-unable-to-watch-for-file-changes",
        ("doctor.limits",), _inotify, _mend_inotify, tuple(f"/proc/sys/fs/inotify/{name}" for name in WANTED),
    ),
    Rule(
        "port-taken", "error", "the ports of the settings are free, or the container's own",
        "`Bind for 127.0.0.1:8888 failed: port is already allocated`.",
        "{gpudock} setup --set jupyter.port=8889   # or ssh.port, stack.ports; or stop the other one",
        "https://github.com/docker/compose/issues/4950",
        ("ports.containers", "ports.listeners"), _ports,
    ),
    Rule(
        "clock-off", "error", "the clock is right",
        "TLS certificates and the signatures of package lists are then not valid yet, or no more.",
        "timedatectl set-ntp true",
        "https://manpages.debian.org/stable/systemd-timesyncd/systemd-timesyncd.service.8.en.html",
        ("network.clock", "network.reach"), _clock,
    ),
)  # fmt: skip
