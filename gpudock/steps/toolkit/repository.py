"""1.1, 1.2 NVIDIA's repository for apt: its list, templated and never downloaded; other entries for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gpudock.actions import Action, Write
from gpudock.answers import Answers
from gpudock.errors import Refused
from gpudock.questions import Questions, file, files
from gpudock.settings import Settings
from gpudock.steps import login
from gpudock.steps.toolkit import cuda_repository

REPOSITORY = "https://nvidia.github.io/libnvidia-container"
KEYRING = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
NAME = "nvidia-container-toolkit"
SOURCE = f"/etc/apt/sources.list.d/{NAME}.list"
OURS = r"libnvidia-container|nvidia-container-runtime|nvidia-docker"
NAMED = rf"{OURS}|compute/cuda/repos"
PIECES = {"sources": r"(\n[ \t]*\n)", "repo": r"(?m)^(?=\[)"}  # how a file falls into entries; else by lines
MARK = "# switched off by gpudock: "

SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/yum.repos.d", "/etc/zypp/repos.d")
LOGIN = login.apt_path("toolkit")

QUESTIONS: Questions = {
    "toolkit.source": file(SOURCE),
    "toolkit.preferences": file(cuda_repository.PREFERENCES),
    "toolkit.others": files(*SOURCES),
}


def address(settings: Settings) -> str:
    """The base address of NVIDIA's packages, as set: with a login where it has one."""
    if cuda_repository.chosen(settings):
        return settings.toolkit.cuda_repository.rstrip("/")
    return settings.mirrors.toolkit or REPOSITORY


def public(settings: Settings) -> str:
    """The same without a login: what sources and command lines name."""
    return login.public(address(settings))


def channel(settings: Settings) -> str:
    """How the addresses begin that the chosen channel's packages come from; experimental has the stable ones too."""
    flat = cuda_repository.chosen(settings) or settings.toolkit.channel == "experimental"
    return f"{public(settings)}/" + ("" if flat else "stable/")


def render(settings: Settings, *, experimental: bool) -> str:
    """Write the two lines of NVIDIA's list, signed-by included.

    A mirror's copy still names nvidia.github.io (USTC's, in September 2026), and apt itself expands $(ARCH).
    """
    line = f"deb [signed-by={KEYRING}] {public(settings)}/{{channel}}/deb/$(ARCH) /\n"
    return line.format(channel="stable") + ("" if experimental else "#") + line.format(channel="experimental")


def experimental(source: str | None) -> bool:
    """Whether a list has the experimental channel switched on."""
    return any("/experimental/" in line and not line.startswith("#") for line in (source or "").splitlines())


def read_others(answers: Answers, *, apt: bool = True) -> Mapping[str, str]:
    """The other files of apt, or of rpm's managers, that name NVIDIA's repository, off or not, with their texts.

    Latin-1 keeps every byte of a comment in whatever encoding.
    """
    texts = {path: file.content.decode("latin-1") for path, file in answers["toolkit.others"].files.items()}
    return {
        path: text
        for path, text in sorted(texts.items())
        if path.endswith((".list", ".sources") if apt else ".repo")
        and not path.endswith(f"/{NAME}.{'list' if apt else 'repo'}")
        and re.search(NAMED, text)
    }


def switch_off(others: Mapping[str, str]) -> list[Action]:
    """Turn other entries for the repository into comments.

    With another Signed-By apt would refuse both; dnf, yum and zypper would trust a key that was not checked, and mix
    the old nvidia-docker packages in.
    """
    return _rewrite(others, switched_off, "switch off NVIDIA's entry in {}: only one is to count for one repository")


def switch_on(others: Mapping[str, str]) -> list[Action]:
    """Bring the entries back that `switch_off` took."""
    return _rewrite(others, lambda path, text: text.replace(MARK, ""), "switch NVIDIA's former entry in {} on again")


def switched_off(path: str, text: str) -> str:
    """The text with NVIDIA's entries as comments: lines of a .list, stanzas of a .sources, sections of a .repo."""
    pieces = re.split(PIECES.get(path.rpartition(".")[2], r"(?<=\n)"), text)
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
        secret = "password" in text.lower()  # of a .repo; which nobody else should come to read by our writing it
        mode = 0o600 if secret else 0o644
        actions.append(Write(why.format(path), path, changed, text, mode=mode, secret=secret))
    return actions
