"""What can go wrong, and the exit code it ends with.

    GpudockError (1)
    ├── UsageError (2)            bad usage, before anything was touched
    │   └── SettingsError (2)     a wrong key or value in a layer of settings
    ├── Unreachable (3)           the host cannot be reached, or its key is not the one known
    ├── ActionFailed (1)          a tool said no in the middle of a plan
    │   └── NotConverged (1)      all was done, and the facts still differ from the settings
    ├── TaskFailed (1)            a user's own task ended with an exception
    ├── CannotTell (1)            a question to the host has no answer: not the same as "is not there"
    ├── Refused (1)               the host's state needs a person's decision; nothing was touched
    ├── Locked (1)                another operator is changing the host; nothing was touched
    ├── SudoRefused (1)           the user may not become root
    └── ProblemsFound (4)         `doctor`, `image.check` or `plan --check` found something

All are Invoke's Exit, so that `inv` and `fab` print the message and end with the code, without a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from invoke.exceptions import Exit

TAIL = 12  # lines of a failed tool's output that an error shows
WIDTH = 300  # characters of each of them


class GpudockError(Exit):
    """Anything a user can cause; its message is one paragraph that ends with the next move."""

    code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message, type(self).code)

    def __str__(self) -> str:
        return str(self.message)


class UsageError(GpudockError):
    """Wrong arguments or configuration, found before anything was touched."""

    code: ClassVar[int] = 2


class SettingsError(UsageError):
    """A wrong key or value; the message names file, line and key."""


class Unreachable(GpudockError):
    """The host cannot be reached, refuses our key, or shows another host key than before."""

    code: ClassVar[int] = 3


class ActionFailed(GpudockError):
    """An action failed: what was being done, the tool's last lines, the next move."""

    def __init__(self, doing: str, *, output: str, next_move: str) -> None:
        self.doing, self.output, self.next_move = doing, output, next_move
        super().__init__(paragraph(doing, output, next_move))


class NotConverged(ActionFailed):
    """Every action succeeded, and the plan is still not empty."""


class TaskFailed(GpudockError):
    """A task that is not gpudock's raised something."""

    def __init__(self, task: str, error: Exception) -> None:
        super().__init__(f"{task} ended with {type(error).__name__}: {str(error).strip() or 'it said nothing more'}")


class CannotTell(GpudockError):
    """A question to the host has no answer: permission denied, a dead daemon, output nobody expects."""


class Refused(GpudockError):
    """The state of the host needs a person's decision. Nothing was touched."""


class Locked(GpudockError):
    """Another operator holds the host's lock. `now` is the host's time, `holder` what the holder says of itself.

    `left` names the processes that go on without their operator, whose gpudock has ended or lost the host.
    """

    def __init__(self, host: str, now: str, holder: Mapping[str, str], left: Sequence[str] | None = None) -> None:
        address = f" ({holder['from']})" if holder.get("from") else ""
        who = f"{holder.get('who', 'someone who has not said who it is')}{address}"
        doing = ": ".join(dict.fromkeys(holder[key] for key in ("task", "step", "why") if holder.get(key)))
        task = f"since {holder.get('since', '?')} (now {now}){', doing ' + doing if doing else ''}"
        processes = ", ".join(left or ()) or "a process"
        self.holder = who if left is None else f"{processes}, which {who} began"
        if left is None:
            said = f"is being changed by {who}, {task}. Nothing was touched: wait for it with --wait, or ask them."
        else:
            said = (
                f"is still at what {who} began, {task}: {processes}, though no gpudock is with it any more. Nothing "
                "was touched: with --wait this waits for its end, and does the rest."
            )
        super().__init__(f"{host} {said}")


class SudoRefused(GpudockError):
    """The user may not become root on the host."""


class ProblemsFound(GpudockError):
    """A check found something that must be fixed."""

    code: ClassVar[int] = 4


def paragraph(doing: str, output: str, next_move: str) -> str:
    """Join what was being done, the last lines of a tool's output, and the next move."""
    lines = [shortened(line) for line in output.replace("\r", "\n").splitlines() if line.strip()][-TAIL:]
    said = "".join(f"\n    {line}" for line in lines)
    return f"Could not {doing}:{said}\n  {next_move}" if said else f"{doing}\n  {next_move}"


def shortened(line: str) -> str:
    """A line of a tool's output for an error: mmdebstrap has some of 6000 characters; the log has all of it."""
    line = line.rstrip()
    return line if len(line) <= WIDTH else f"{line[:WIDTH]} …"
