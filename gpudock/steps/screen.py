"""What `top` draws on a terminal: the hosts one under the other, each with its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gpudock.step import Outcome
from gpudock.steps import usage
from gpudock.steps.usage import Rows, Usage


def render(looks: Mapping[str, Usage | str], outcomes: Sequence[Outcome]) -> RenderableType:
    """Draw the latest look at each host, and the reason in red where there is none."""
    failed = {outcome.host: str(outcome.error) for outcome in outcomes if outcome.error}
    known = dict(sorted({**failed, **looks}.items()))
    parts = [part for host, look in known.items() for part in _host(host, look)]
    return Group(*parts, Text("Ctrl-C ends", style="bright_black")) if parts else Text("asking …")


def _host(name: str, look: Usage | str) -> Iterator[RenderableType]:
    yield Text(name, style="bold")
    if isinstance(look, str):
        yield Text(look, style="red")
    else:
        yield from map(_table, usage.tables(look))
        if not usage.tables(look):
            yield Text("no GPU, no container", style="bright_black")
    yield Text("")


def _table(rows: Rows) -> Table:
    table = Table(*rows[0], box=None, header_style="cyan", pad_edge=False)
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table
