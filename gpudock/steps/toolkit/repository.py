"""1.1, 1.2 NVIDIA's repository for apt: its list, templated and never downloaded; other entries for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping

from gpudock.actions import Action, Write
from gpudock.errors import Refused
from gpudock.questions import Answers, Questions, file
from gpudock.questions import shell as question
from gpudock.settings import Settings

REPOSITORY = "https://nvidia.github.io/libnvidia-container"
KEYRING = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
SOURCE = "/etc/apt/sources.list.d/nvidia-container-toolkit.list"
OURS = r"libnvidia-container|nvidia-container-runtime|nvidia-docker"
MARK = "# switched off by gpudock: "

ENTRIES = """grep -l -r -E "$1" /etc/apt/sources.list /etc/apt/sources.list.d --include='*.list' \\
  --include='*.sources' --include=sources.list 2>/dev/null |
while read -r path; do printf '%s ' "$path"; base64 -w0 "$path"; echo; done"""
TRUSTED = "[ -e /etc/ssl/certs/ca-certificates.crt ]"

QUESTIONS: Questions = {
    "toolkit.trust": question(TRUSTED),
    "toolkit.source": file(SOURCE),
    "toolkit.others": question(ENTRIES, OURS),
}


def address(settings: Settings) -> str:
    """The base address of NVIDIA's packages."""
    return settings.mirrors.toolkit or REPOSITORY


def channel(settings: Settings) -> str:
    """How the addresses begin that the chosen channel's packages come from; experimental has the stable ones too."""
    return f"{address(settings)}/" + ("stable/" if settings.toolkit.channel == "stable" else "")


def render(settings: Settings, *, experimental: bool) -> str:
    """Write the two lines of NVIDIA's list, signed-by included.

    A mirror's copy still names nvidia.github.io (facts/toolkit.md §1), and apt itself expands $(ARCH).
    """
    line = f"deb [signed-by={KEYRING}] {address(settings)}/{{channel}}/deb/$(ARCH) /\n"
    return line.format(channel="stable") + ("" if experimental else "#") + line.format(channel="experimental")


def experimental(source: str | None) -> bool:
    """Whether a list has the experimental channel switched on."""
    return any("/experimental/" in line and not line.startswith("#") for line in (source or "").splitlines())


def read_others(answers: Answers) -> Mapping[str, str]:
    """The other files that name NVIDIA's repository, switched off or not, with their texts.

    Latin-1 keeps every byte of a comment in whatever encoding.
    """
    rows = [line.partition(" ") for line in answers["toolkit.others"].out.splitlines()]
    return {path: base64.b64decode(text).decode("latin-1") for path, _, text in rows if path != SOURCE}


def switch_off(others: Mapping[str, str]) -> list[Action]:
    """Turn other entries for the repository into comments: with another Signed-By apt would refuse both."""
    return _rewrite(others, switched_off, "switch off NVIDIA's entry in {}: apt refuses two for one repository")


def switch_on(others: Mapping[str, str]) -> list[Action]:
    """Bring the entries back that `switch_off` took."""
    return _rewrite(others, lambda path, text: text.replace(MARK, ""), "switch NVIDIA's former entry in {} on again")


def switched_off(path: str, text: str) -> str:
    """The file's text with NVIDIA's entries as comments: lines of a .list, whole stanzas of a .sources."""
    pieces = re.split(r"(\n[ \t]*\n)", text) if path.endswith(".sources") else text.splitlines(keepends=True)
    return "".join(_commented(piece) if _names_ours(piece) else piece for piece in pieces)


def _commented(piece: str) -> str:
    return "".join(
        line if line.startswith("#") or not line.strip() else MARK + line for line in piece.splitlines(keepends=True)
    )


def _names_ours(piece: str) -> bool:
    return any(re.search(OURS, line) and not line.lstrip().startswith("#") for line in piece.splitlines())


def _rewrite(others: Mapping[str, str], change: Callable[[str, str], str], why: str) -> list[Action]:
    actions: list[Action] = []
    for path, text in others.items():
        changed = change(path, text)
        if changed == text:
            continue
        if not text.isascii():
            raise Refused(
                f"{path} names NVIDIA's repository too and is not plain ASCII. Switch the entry off yourself."
            )
        actions.append(Write(why.format(path), path, changed, text))
    return actions
