"""How a command line goes over its hosts: which may begin, and who failed last time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

from gpudock.options import Rollout

Begin = Callable[[str], int]


class Gate:
    """Lets hosts begin, or says why no further one may. `stop` is set by Ctrl-C."""

    def __init__(self, rollout: Rollout, stop: Event) -> None:
        self.rollout = rollout
        self.stop = stop
        self.codes: dict[str, int] = {}
        self._reason = ""

    def roll(self, hosts: Sequence[str], parallel: int, begin: Begin, leave_out: Callable[[str, str], None]) -> None:
        """Begin with the canary, then all others, `parallel` at a time; `codes` has what each came to.

        `leave_out` is called with the host and the reason where one may not begin.
        """

        def one(host: str) -> None:
            if reason := self.closed():
                leave_out(host, reason)
            else:
                self.codes[host] = begin(host)

        pool = ThreadPoolExecutor(min(parallel, len(hosts)))
        for batch in (hosts[: self.rollout.canary], hosts[self.rollout.canary :]):
            list(pool.map(one, batch))
            if self.failed:
                self._reason = f"not begun, as the canary failed on {', '.join(self.failed)}"

    @property
    def failed(self) -> list[str]:
        """The hosts that have failed so far."""
        return [host for host, code in self.codes.items() if code]

    def closed(self) -> str:
        """Why no further host may begin; empty while one may."""
        allowed, failed = self.rollout.max_failures, len(self.failed)
        if self.stop.is_set():
            return "not begun, as you stopped it"
        if allowed is not None and failed > allowed:
            return f"not begun, as {failed} hosts failed and --max-failures allows {allowed}"
        return self._reason


class Memory:
    """Who failed last time at a command line's tasks: one empty file a host, so that runs do not disturb each other."""

    def __init__(self, folder: Path, tasks: Sequence[str]) -> None:
        self.folder = folder / "+".join(tasks)

    def failed(self) -> list[str]:
        """The hosts that failed the last time they were at it."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []

    def keep(self, codes: Mapping[str, int]) -> None:
        """Remember what each host came to; in a checkout that cannot be written nothing is."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            for host, code in codes.items():
                if code:
                    (self.folder / host).touch()
                else:
                    (self.folder / host).unlink(missing_ok=True)
