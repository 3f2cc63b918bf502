"""What `fab` runs tasks with: every host of -H side by side, one connection each.

Stock Fabric goes through hosts one after the other and stops at the first error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import fabric
import invoke
import paramiko

from gpudock.config import OWN, load, load_inventory
from gpudock.connection import Connector
from gpudock.rollout import Memory
from gpudock.runner import LOCAL, Target, calls_of, rollout_of, run, typed


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """Runs the command line's tasks on all hosts, which may be `@group`, `all` or `gpu[01-16]`."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the tasks in order on each host, hosts side by side."""
        calls = calls_of(self, tasks)
        rollout = rollout_of(calls)
        selector = self.core[0].args.hosts.value
        names = [] if selector is None else load_inventory().expand(selector)
        memory = Memory(OWN / "failed", [typed(call) for call in calls])
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
        connector = Connector(load().settings.fleet)
        made = {name: connector.prepare(connection(name, self.config)) for name in names}
        return [Target(name, partial(connector.connect, made[name]), name, made[name].close) for name in names]


def connection(name: str, config: invoke.Config) -> fabric.Connection:
    """Make the connection to a host by name, as inventory, ssh_config and settings have it; not opened yet.

    `config` is the command line's; under `inv`, where it is not Fabric's, ssh_config is read anew.
    """
    entry = load_inventory().hosts.get(name)
    return fabric.Connection(
        host=(entry and entry.address) or name,
        user=(entry and entry.user) or None,
        port=(entry and entry.port) or None,
        config=_copied(config) if isinstance(config, fabric.Config) else fabric.Config(),
        connect_timeout=load(host=name).settings.fleet.connect_timeout,
    )


def _copied(config: fabric.Config) -> fabric.Config:
    """Copy a configuration, so that what a task sets for one host stays there, but not ssh_config, which none changes.

    It has a part for each host, and would be copied, and its files read anew, as often.
    """
    hosts, given = config.base_ssh_config, config._given_explicit_object
    config.base_ssh_config = paramiko.SSHConfig()
    config._set(_given_explicit_object=True)
    try:
        copy = config.clone()
    finally:
        config.base_ssh_config = hosts
        config._set(_given_explicit_object=given)
    copy.base_ssh_config = hosts
    return copy


def connect(connection: fabric.Connection) -> fabric.Connection:
    """Open a connection that is not one of the command line's hosts. Raises Unreachable."""
    connector = Connector(load().settings.fleet)
    return connector.connect(connector.prepare(connection))
