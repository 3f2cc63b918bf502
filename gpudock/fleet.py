"""What `fab` runs tasks with: every host of -H side by side, one connection each.

Stock Fabric goes through hosts one after the other and stops at the first error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fabric
import invoke

from gpudock.calls import calls_of, name_of, rollout_of
from gpudock.config import OWN, load, load_inventory
from gpudock.connection import Connector
from gpudock.errors import UsageError
from gpudock.inventory import Entry
from gpudock.rollout import Memory
from gpudock.runner import LOCAL, Target, run
from gpudock.ssh_config import Config
from gpudock.way import divided


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """Runs the command line's tasks on all hosts, which may be `@group`, `all` or `gpu[01-16]`."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the tasks in order on each host, hosts side by side."""
        calls = calls_of(self, tasks)
        rollout = rollout_of(calls)
        for path in self.core[0].args.identity.value or ():
            if not Path(path).expanduser().is_file():
                raise UsageError(f"-i {path}: there is no such file.")
        selector = self.core[0].args.hosts.value
        names = [] if selector is None else load_inventory().expand(selector)
        memory = Memory(OWN / "failed", [name_of(call) for call in calls])
        if rollout.retry:
            failed = memory.failed()
            names = [name for name in names or failed if name in failed]
            if not names:
                raise invoke.Exit("Nothing to do again: this failed on no host last time.", code=0)
        run(self._targets(names), calls, load().settings.fleet.parallel, rollout, memory if names else None)
        return {}

    def _targets(self, names: Sequence[str]) -> list[Target]:
        if not names:
            context = invoke.Context(config=self.config)
            return [Target(LOCAL, lambda: context)]
        connector, config = Connector(load().settings.fleet), Config.of(self.config)
        made = {name: connector.prepare(connection(name, config)) for name in names}
        return [Target(name, partial(connector.connect, made[name]), name, made[name].close) for name in names]


def connection(name: str, config: invoke.Config) -> fabric.Connection:
    """Make the connection to a host by name, as inventory, ssh_config and settings have it; not opened yet.

    `config` is the command line's; what a task sets in its copy for one host stays there. Raises UsageError for what is
    no name.
    """
    entry = load_inventory().hosts.get(name, Entry())
    user, host, port = divided(entry.address or name)
    try:
        return fabric.Connection(
            host=host,
            user=entry.user or user,
            port=entry.port or port,
            config=Config.of(config).clone(),
            connect_timeout=load(host=name).settings.fleet.connect_timeout,
        )
    except (ValueError, TypeError):
        form = "should be host, user@host or user@host:port, as [2001:db8::1]:22 where it is an IPv6 address"
        raise UsageError(f"-H {name}: {form}.") from None


def connect(connection: fabric.Connection) -> fabric.Connection:
    """Open a connection that is not one of the command line's hosts. Raises Unreachable."""
    connector = Connector(load().settings.fleet)
    return connector.connect(connector.prepare(connection))
