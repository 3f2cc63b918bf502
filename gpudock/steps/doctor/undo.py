"""The way back from a fix: what it replaces is kept on the host, byte for byte, and `doctor --undo` puts it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpudock.actions import Action, Run, Write, shell
from gpudock.answers import Answers
from gpudock.errors import Refused, UsageError
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.report import columns
from gpudock.settings import Settings
from gpudock.step import Step

if TYPE_CHECKING:
    from gpudock.command import Job
    from gpudock.steps.doctor.rule import Rule

# A file as `mode owner digest`, `-` where there is none.
LOOKS = """looks() { [ -e "$1" ] || { echo -; return; }
  echo "$(stat -c '%a %u:%g' "$1") $(sha256sum <"$1" | cut -d' ' -f1)"; }
"""

# A folder a fix, a numbered file a path. Its name is not the last one until the fix is done: `begun` is cut off.
KEEP = (
    LOOKS
    + """umask 077; kept=$1/begun-$2; [ ! -e "$kept" ] || exit 0  # of a run that was cut off: it knows better
mkdir -p "$1"; new=$(mktemp -d "$1/.XXXXXX"); trap 'rm -rf "$new"' EXIT; shift 2; number=0
for path; do
  number=$((number + 1)); printf '%s\\n' "$path" >"$new/$number.path"; looks "$path" >"$new/$number.before"
  [ ! -e "$path" ] || cp -p "$path" "$new/$number.file"
done; sync "$new"/*; mv -T "$new" "$kept\""""
)
SEAL = (
    LOOKS
    + """cd "$1/begun-$2" && for name in *.path; do looks "$(cat "$name")" >"${name%.path}.after"; done
mv -T "$1/begun-$2" "$1/$(date -u +%Y%m%dT%H%M%SZ)-$2\""""
)
LIST = (
    LOOKS
    + """cd "$1" 2>/dev/null || exit 0
for fix in *; do [ -d "$fix" ] || continue
  [ ! -e "$fix/undone" ] || { printf '%s\\tundone\\n' "$fix"; continue; }
  for name in "$fix"/*.path; do
    path=$(cat "$name") name=${name%.path} before=$(cat "${name%.path}.before")
    after=$(cat "$name.after" 2>/dev/null) now=$(looks "$path")
    printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$name" "$path" "$before" "$after" "$now"
  done; done"""
)
# A file of /proc is written in place, any other is there whole or not at all.
RESTORE = """kept=$1 path=$2
case $path in /proc/*) cat "$kept" >"$path"; exit;; esac
[ -e "$kept" ] || { rm -f "$path"; exit; }
[ ! -L "$path" ] || path=$(readlink -m "$path")
mkdir -p "$(dirname "$path")"; new=$(mktemp "$path.XXXXXX"); trap 'rm -f "$new"' EXIT
cp -p "$kept" "$new"; sync "$new"; mv -f "$new" "$path\""""


@dataclass(frozen=True)
class Kept:
    """A file that a fix touched: what it looked like before, after, and looks like now; `place` is the copy's name."""

    place: str
    path: str
    before: str
    after: str
    now: str

    @property
    def fix(self) -> str:
        """The fix it belongs to: time and rule."""
        return self.place.partition("/")[0]


@dataclass(frozen=True)
class Fixes:
    """All fixes that left something to bring back, oldest first, and those that were undone."""

    kept: tuple[Kept, ...]
    undone: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The fixes that can be undone, oldest first."""
        return tuple(dict.fromkeys(kept.fix for kept in self.kept))


def keeping(settings: Settings, rule: Rule, plan: Sequence[Action]) -> Sequence[Action]:
    """A fix, and around it what lets it be undone: it keeps the files that the actions and the rule name."""
    written = [action.path for action in plan if isinstance(action, Write)]
    opened = [
        path for action in plan if isinstance(action, Run) and action.argv[0] == "chmod" for path in action.argv[2:]
    ]
    every = tuple(dict.fromkeys([*written, *opened, *rule.touches]))
    if not plan or not every:
        return plan
    keep = shell("keep what the fix will replace", KEEP, folder(settings), rule.id, *every)
    return [keep, *plan, shell("note what the fix has left", SEAL, folder(settings), rule.id)]


def folder(settings: Settings) -> str:
    """Where the copies are."""
    return f"{settings.host.state}/doctor"


def questions(settings: Settings) -> Questions:
    """What is kept."""
    return {"doctor.kept": question(LIST, folder(settings))}


def read(settings: Settings, answers: Answers) -> Fixes:
    """Make Fixes of the answer."""
    rows = [line.split("\t") for line in answers["doctor.kept"].out.splitlines()]
    kept = tuple(Kept(*row) for row in rows if len(row) == 5)
    return Fixes(kept, tuple(row[0] for row in rows if row[1:] == ["undone"]))


def plan(settings: Settings, fixes: Fixes, name: str, *, consent: bool = False) -> Sequence[Action]:
    """Bring back what a fix replaced. Raises Refused where a file is not as the fix left it, unless with consent."""
    if name in fixes.undone:
        return []
    files = [kept for kept in fixes.kept if kept.fix == name]
    if not files:
        raise UsageError(f"--undo {name}: there is no such fix here; there are: {', '.join(fixes.names) or 'none'}.")
    changed = [kept.path for kept in files if kept.now not in (kept.after, kept.before)]
    if changed and not consent:
        raise Refused(
            f"{', '.join(changed)} has been changed since the fix {name}, and would lose that. --yes brings the former "
            f"file back all the same; the copy is in {folder(settings)}/{name}."
        )
    back = [
        shell(
            f"bring {kept.path} back as it was before the fix",
            RESTORE,
            f"{folder(settings)}/{kept.place}.file",
            kept.path,
        )
        for kept in files
        if kept.now != kept.before
    ]
    return [*back, shell("note that the fix is undone", ': >"$1/$2/undone"', folder(settings), name)]


def undo(job: Job, name: str) -> None:
    """Undo one fix, or list them all where no name is given."""
    fixes: Fixes = job.facts(Step("doctor.undo", "", questions, read, lambda settings, fixes: []))
    if name:
        step = Step(
            "doctor.undo", "", questions, read,
            lambda settings, fixes: plan(settings, fixes, name, consent=job.options.yes),
        )  # fmt: skip
        job.converge(step)
        return
    rows = [(kept.fix, kept.path, state(kept)) for kept in fixes.kept]
    listing = [{"fix": kept.fix, "path": kept.path, "state": state(kept)} for kept in fixes.kept]
    table = columns([("fix", "file", "now"), *rows]) if rows else "no fix has left anything to undo here"
    job.say(table, fixes=listing, undone=list(fixes.undone))


def state(kept: Kept) -> str:
    """What a file looks like now."""
    if kept.now == kept.before:
        return "as before the fix"
    return "as the fix left it" if kept.now == kept.after else "changed since"
