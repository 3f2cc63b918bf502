"""What tools say when they fail, and what to do about it: the next move of an error's paragraph."""

from __future__ import annotations

import re
import signal

BY_SIGNAL = 128  # and its number is the exit code of what a signal ended, as a shell has it; alone: which is not known
KILLED = {BY_SIGNAL + number: number.name for number in (signal.SIGABRT, signal.SIGBUS, signal.SIGKILL, signal.SIGSEGV)}

THROUGH = "A host without internet can use yours: --set network.through=operator."

KNOWN = (
    (
        r"\(ended by (SIGKILL|a signal)\)",
        "It was killed, most often by the kernel when memory runs out: `dmesg | grep -i 'out of memory'` on the host "
        "tells. Make room, and run the same command again.",
    ),
    (
        r"[Nn]o space left on device|ENOSPC|not have enough free space",
        "The disk is full: `df -h` shows which one, `docker system df` what the engine holds; make room and run "
        "the same command again.",
    ),
    (
        r"Could not get lock|is another process using it|Unable to acquire the dpkg frontend lock",
        "Another package manager is running (often unattended-upgrades): wait until it is done, or raise "
        "apt.lock_timeout, and run the same command again.",
    ),
    (
        r"Temporary failure resolving|Could not resolve|Name or service not known",
        "The name does not resolve: check the host's DNS, or choose a mirror that it reaches: `mirror.probe` measures "
        f"them (--set mirror=auto, mirror=cn, or one layer: --set mirrors.pypi=URL). {THROUGH}",
    ),
    (
        r"Failed to fetch|Connection timed out|Could not connect|Connection refused.*\[IP|Network is unreachable"
        r"|error sending request|Failed to connect|Unable to connect to|Connection reset by peer"
        r"|after connection broken by|Failed to establish a new connection",
        "A server did not answer: check the network and network.https_proxy, or choose a mirror that does: "
        f"`mirror.probe` measures them (--set mirror=auto, mirror=cn, or one layer: --set mirrors.apt=URL). {THROUGH}",
    ),
    (
        r"Release file for .* is not (valid yet|yet valid)|is not valid (yet|until)|certificate is not yet valid",
        "The host's clock is wrong, or the mirror's: `date` on the host tells; `timedatectl set-ntp true` sets it.",
    ),
    (
        r"certificate verify failed|self.signed certificate|unknown authority|invalid peer certificate",
        "TLS is signed by an authority the host does not know: add its certificate to the host "
        "(update-ca-certificates), or name a file with network.ca_bundle.",
    ),
    (
        r"has no installation candidate|Unable to locate package|no longer has a Release file",
        "No source has such a package: check its name in additions.apt, apt's sources, and mirrors.apt.",
    ),
    (
        r"Packages need to be removed but remove is disabled",
        "What was to be installed cannot be beside the packages above, which somebody has put here, so they were left "
        "alone. Where nobody needs them, remove them yourself (apt-get remove NAME), then run the same command again.",
    ),
    (
        r"was not found in the package registry",
        "No index has such a package: check its name in additions.pip or its file, and mirrors.pypi.",
    ),
    (
        r"address already in use|port is already allocated",
        "Something on the host has that port: `ss -ltnp` tells what. Stop it, or choose another port: ssh.port, "
        "jupyter.port, stack.ports.",
    ),
    (
        r"No such command: versionlock",
        "dnf holds packages by a plugin that is not here: `dnf install 'dnf-command(versionlock)'`, or leave "
        "toolkit.hold off.",
    ),
    (
        r"could not select device driver",
        "Docker was started before the toolkit came: restart it with `toolkit.restart --set gpu.mode=gpus`, or take "
        "gpu.mode=runtime, which needs no restart.",
    ),
    (
        r"[Uu]nknown (or invalid )?runtime( name| specified)?",
        "Docker does not know NVIDIA's runtime: run toolkit.install.",
    ),
    (
        r"No solution found when resolving dependencies",
        "A requirement of yours contradicts what a package group locks: change additions.pip, or leave that group out "
        "of image.groups.",
    ),
    (
        r"of additions\.scripts\.build failed",
        "A build script of yours failed: mend it and run the same command again; the former image is untouched.",
    ),
    (
        r"dpkg was interrupted|dpkg --configure -a",
        "An earlier installation broke off: run the same command again; it finishes that first.",
    ),
    (
        r"Hash Sum mismatch|do not match the hashes|[Hh]ash mismatch",
        "What was downloaded is not what it should be: a mirror in the middle of an update, or a tampered file. "
        "Try again in a while or choose another mirror.",
    ),
)


def ended(code: int) -> str:
    """What an exit code says of a command that a signal ended, as a line after its output; else empty."""
    name = "a signal" if code == BY_SIGNAL else KILLED.get(code)
    return f"\n(ended by {name})\n" if name else ""


def next_move(output: str) -> str:
    """Say what to do after a tool failed with this output; a general answer where the failure is not known."""
    for pattern, advice in KNOWN:
        if re.search(pattern, output):
            return advice
    return "Mend what it says and run the same command again; what was done before stays done."
