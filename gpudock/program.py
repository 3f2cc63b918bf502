"""Invoke's and Fabric's own programs, where a wrong word ends with code 2 and the nearest right one.

Inside the activated environment plain `inv` and `fab` do the same work, without these hints.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from invoke.exceptions import ParseError
from invoke.parser import Parser, ParserContext
from invoke.program import Program

from gpudock import __version__
from gpudock.errors import UsageError
from gpudock.inventory import nearest
from gpudock.options import Rollout


class Hints(Program):
    """Goes before Invoke's Program or Fabric's Fab."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the program's own options, and let Python keep its bytecode, which Invoke forbids by default.

        That is 50 ms of each run; PYTHONDONTWRITEBYTECODE still has its say.
        """
        super().parse_core(argv)
        sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

    def parse_tasks(self) -> None:
        """Parse tasks and their options. Raises UsageError instead of Invoke's ParseError, which would be code 1."""
        self.core.unparsed[:] = self._spelled_out(self.core.unparsed)
        try:
            super().parse_tasks()
        except ParseError as error:
            raise UsageError(self._explain(error)) from None

    def _make_parser(self) -> Parser:
        """Have the parser know only of tasks that are named: it copies all it knows, which is 40 ms for all of ours.

        Every task takes the rollout's options, also a user's own in a collection that is not ours.
        """
        words = {*self.core.unparsed, self.args.help.value}
        contexts = [
            ParserContext(name=name, aliases=aliases, args=Rollout.beside(self.collection[name].get_arguments()))
            for name, aliases in self.collection.task_names.items()
            if self.args.complete.value or words & {name, *aliases}
        ]
        return Parser(initial=self.initial_context, contexts=contexts)

    def print_version(self) -> None:
        """Say our version before that of what we stand on."""
        print(f"gpudock {__version__}")
        super().print_version()

    def _spelled_out(self, words: Sequence[str]) -> list[str]:
        """The words with the option that a task's subject stands for: `doctor gpu-lost` is `doctor --rule gpu-lost`."""
        tasks, spelled = self.collection.task_names, []
        for before, word in zip(["", *words], words, strict=False):
            option = getattr(self.collection[before], "subject", "") if before in tasks else ""
            spelled += [f"--{option}", word] if option and word[0] != "-" and word not in tasks else [word]
        return spelled

    def _explain(self, error: ParseError) -> str:
        if lacking := re.fullmatch(r"Flag <Argument: (\S+).*> needed value and was not given one!", str(error)):
            return f"The option --{lacking.group(1)} needs a value."
        unknown = re.fullmatch(r"No idea what '(.*)' is!", str(error))
        if not unknown:
            return str(error)
        word = unknown.group(1)
        if not word.startswith("-"):
            return f"There is no task {word}.{nearest(word, self.collection.task_names)} `inv --list` shows all."
        task = error.context.name if error.context else None
        known = [name for name in error.context.flags if name.startswith("--")] if error.context else []
        return f"{task or 'inv'} has no option {word}.{nearest(word, known)}"


def main() -> None:
    """Be the program that the first argument names, `inv` or `fab`."""
    name = os.path.basename(sys.argv.pop(1))
    sys.argv[0] = name
    made: dict[str, Any]
    if name == "fab":
        import fabric  # 230 ms
        from fabric.main import Fab

        kind = type("GpudockFab", (Hints, Fab), {})
        made = {"executor_class": fabric.Executor, "config_class": fabric.Config, "version": fabric.__version__}
        kind(name="Fabric", **made).run()
    else:
        import invoke

        Hints(name="Invoke", binary="inv", binary_names=["inv"], version=invoke.__version__).run()
