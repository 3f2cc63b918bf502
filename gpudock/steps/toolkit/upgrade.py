"""Going to the channel's newest version: only when asked, as installing can cost running containers their GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from gpudock.actions import Action, shell
from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import apt
from gpudock.steps.toolkit import containers, facts, package, record, repository, rpm_package
from gpudock.steps.toolkit.facts import PACKAGES, Toolkit

NEWEST = (
    rpm_package.LISTED
    + """if [ -n "$channels" ]; then offered "$1" | head -n 1; exit; fi
apt-cache madison "$1" 2>/dev/null | awk -F' *[|] *' -v from="$2" 'index($3, from) {print $2}' |
sort -rV | head -n 1; [ -z "$(find "$3/lists" -mmin -5 2>/dev/null)" ] || echo fresh"""
)


@dataclass(frozen=True)
class Offer:
    """What the channel offers. `fresh` tells that its lists were fetched within the last five minutes."""

    toolkit: Toolkit
    newest: str
    fresh: bool
    error: str = ""


def questions(settings: Settings) -> Questions:
    """The toolkit's questions, and the newest version that apt, dnf or zypper knows of."""
    words = (PACKAGES[0], repository.channel(settings), record.folder(settings))
    return {**facts.questions(settings), "toolkit.newest": question(NEWEST, *words)}


def read(settings: Settings, answers: Answers) -> Offer:
    """Make an Offer of the answers."""
    answer = answers["toolkit.newest"]
    newest = next((line for line in answer.out.split() if line != "fresh"), "")
    return Offer(facts.read(settings, answers), newest, "fresh" in answer.out.split(), answer.err.strip()[-300:])


def plan_lists(settings: Settings, offer: Offer) -> list[Action]:
    """Fetch NVIDIA's lists, unless they are some minutes old."""
    if offer.toolkit.source is None:
        raise Blocked("toolkit.repo", "NVIDIA's repository is not set up.")
    if offer.fresh or offer.toolkit.manager != "apt":
        return []
    stamp = 'mkdir -p -m 0755 "$1"; : >"$1/lists"'
    return [
        apt.update(settings, "fetch NVIDIA's package lists", repository.SOURCE),
        shell("note when that was", stamp, record.folder(settings)),
    ]


def plan(settings: Settings, offer: Offer) -> list[Action]:
    """Install the channel's newest version, or the one pinned, over an older or newer one."""
    toolkit = offer.toolkit
    package.refuse_vulnerable(settings)
    wanted = package.debian(settings.toolkit.version) if settings.toolkit.version else offer.newest
    if not wanted and toolkit.manager != "apt":
        raise CannotTell(f"{toolkit.manager} does not tell which versions NVIDIA's repository has: {offer.error}")
    if toolkit.version == wanted and len(set(toolkit.versions.values())) == 1 and not toolkit.doubled:
        return []
    return [
        *facts.remember(settings, toolkit),
        *containers.note(settings, toolkit),
        *package.install(settings, toolkit, f"bring the toolkit from {toolkit.version or 'none'} to {wanted}"),
    ]


LISTS = Step("toolkit.lists", "Fetch NVIDIA's package lists.", questions, read, plan_lists)
UPGRADE = Step("toolkit.upgrade", "Bring the toolkit to its channel's newest version.", questions, read, plan)
