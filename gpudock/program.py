"""Invoke's and Fabric's own programs, where a wrong word ends with code 2 and the nearest right one.

Inside the activated environment plain `inv` and `fab` do the same work, without these hints.
"""

from __future__ import annotations

import inspect
import os
import pwd
import re
import shlex
import sys
import textwrap
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from invoke.completion.complete import print_completion_script
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser, ParserContext
from invoke.program import Program

from gpudock import __version__
from gpudock.errors import UsageError
from gpudock.options import VALUES, Rollout


class Context(ParserContext):
    """A task's options, whose help names the values as they are: `--canary=N`."""

    def help_for(self, flag: str) -> tuple[str, str]:
        """The option as it is typed, and its help."""
        names, explained = super().help_for(flag)
        shown = VALUES.get(self.flags[flag].names[0])
        return (f"{names.partition('=')[0]}={shown}" if shown else names), explained


class Hints(Program):
    """Goes before Invoke's Program or Fabric's Fab."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the program's own options, and let Python keep its bytecode, which Invoke forbids by default.

        That is 50 ms of each run; PYTHONDONTWRITEBYTECODE still has its say.
        """
        try:
            super().parse_core(argv)
        except (ParseError, ValueError) as error:
            raise self._usage(error) from None
        sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

    def parse_tasks(self) -> None:
        """Parse tasks and their options. Raises UsageError instead of Invoke's ParseError, which would be code 1."""
        self.core.unparsed[:] = self._spelled_out(self.core.unparsed)
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:
            raise self._usage(error) from None

    def update_config(self, *positional: Any, **more: Any) -> None:
        """Heed the program's own options, and ask for the passwords that some of them name. Raises UsageError."""
        file = self.args.config.value
        if file and not os.path.isfile(file):
            raise UsageError(f"--config {file}: there is no such file. It is Invoke's; our settings are in config/.")
        try:
            super().update_config(*positional, **more)
        except EOFError:
            raise UsageError("A --prompt-for- option asks at a terminal, and there is none, or no answer.") from None

    def parse_cleanup(self) -> None:
        """Print lists, help, what completes a word, of `./inv …` too. Raises UsageError for what is not there."""
        self.core.remainder = re.sub(rf"^\S*/(?={self.binary} )", "", self.core.remainder)
        try:
            super().parse_cleanup()
        except ParseError as error:
            raise self._usage(error) from None
        except Exit as end:
            from gpudock import hints  # an error alone needs it

            if said := hints.no_group(str(end.message), self.collection.task_names):
                raise UsageError(said) from None
            raise

    def parse_core_args(self) -> None:
        """Parse the program's own options; the script that completes words calls us by our path, wherever one is."""
        super().parse_core_args()
        if shell := self.args["print-completion-script"].value:
            from gpudock.config import ROOT

            with redirect_stdout(StringIO()) as script:
                print_completion_script(shell=shell, names=self.binary_names)
            path = shlex.quote(str(ROOT / self.binary))
            print(re.sub(rf"\b{self.binary} (?=[^\n]*--complete --)", f"{path} ", script.getvalue(), count=1))
            raise Exit

    def no_tasks_given(self) -> None:
        """Show the tasks: who types nothing but our name wants to know what there is."""
        print(f"Usage: {self.binary} TASK [--options]; {self.binary} --help TASK explains one, --help us.\n")
        self.list_tasks()
        raise Exit

    def print_task_help(self, name: str) -> None:
        """Print a task's help, long lines folded."""
        print(f"Usage: {self.binary} [--core-opts] {name} [--options] [other tasks here ...]\n")
        for line in (inspect.getdoc(self.collection[name]) or "").splitlines():
            print(textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="  "))
        print("\nOptions:")
        self.print_columns(self.parser.contexts[name].help_tuples())

    def _make_parser(self) -> Parser:
        """Have the parser know only of tasks that are named: it copies all it knows, which is 40 ms for all of ours.

        Every task takes the rollout's options, also a user's own in a collection that is not ours.
        """
        words = {*self.core.unparsed, self.args.help.value}
        contexts = [
            Context(name=name, aliases=aliases, args=Rollout.beside(self.collection[name].get_arguments()))
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
            spelled += [f"--{option}", word] if option and not word.startswith("-") and word not in tasks else [word]
        return spelled

    def _usage(self, error: ParseError | ValueError) -> UsageError:
        from gpudock import hints  # an error alone needs it

        if isinstance(error, ValueError):  # of Invoke's int(), which does not tell for which option
            return UsageError(f"{str(error).partition(': ')[2]}: should be a whole number.")
        known = self.collection.task_names if hasattr(self, "collection") else ()
        words = self.core.unparsed if hasattr(self, "core") else ()
        return UsageError(hints.explain(error, self.binary, words, known))


def main() -> None:
    """Be the program that the first argument names, `inv` or `fab`."""
    _be_somebody()
    _refuse_other_encodings()
    name = os.path.basename(sys.argv.pop(1))
    sys.argv[0] = name
    try:
        _run(name)
    except BrokenPipeError as broken:  # `inv --list | head`: who reads has seen enough; an error keeps its code
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(getattr(broken.__context__, "code", 0))


def _be_somebody() -> None:
    """Have a name and a home where the user's id has none, as in containers of CI: libraries ask for both."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("LOGNAME", str(os.getuid()))
        os.environ.setdefault("HOME", "/")


def _refuse_other_encodings() -> None:
    """End with code 2 where a word, or a setting in the environment, is not in UTF-8: neither YAML nor SSH take it."""
    for word in (*sys.argv, *(f"{name}={value}" for name, value in os.environ.items() if name.startswith("GPUDOCK_"))):
        if not word.isascii() and word.encode(errors="replace").decode() != word:
            shown = word.partition("=")[0].encode(errors="replace").decode()
            print(f"{shown}: is not in UTF-8. Set the terminal to UTF-8, and type it again.", file=sys.stderr)
            sys.exit(UsageError.code)


def _run(name: str) -> None:
    made: dict[str, Any]
    if name == "fab":
        import fabric  # 230 ms
        from fabric.main import Fab

        from gpudock.ssh_config import Config

        kind = type("GpudockFab", (Hints, Fab), {})
        made = {"executor_class": fabric.Executor, "config_class": Config, "version": fabric.__version__}
        kind(name="Fabric", **made).run()
    else:
        import invoke

        Hints(name="Invoke", binary="inv", binary_names=["inv"], version=invoke.__version__).run()
