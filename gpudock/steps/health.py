"""Waiting for the container: healthy, or its last words."""

from __future__ import annotations

import time

from gpudock.errors import ActionFailed
from gpudock.host import Host, Line
from gpudock.settings import Settings


def wait_healthy(host: Host, settings: Settings, line: Line) -> None:
    """Look at the container's health every second. Raises ActionFailed with its last words when it gives up."""
    from gpudock import docker_api  # the SDK costs 300 ms

    until = time.monotonic() + settings.stack.wait
    with docker_api.container(host, settings.stack.name) as container:
        while time.monotonic() < until:
            container.reload()
            health = (container.attrs["State"].get("Health") or {}).get("Status", container.status)
            if health in ("healthy", "running"):
                return
            if container.status in ("exited", "dead", "restarting"):
                break
            line(f"health: {health}")
            time.sleep(1)
        said = container.logs(tail=15).decode(errors="replace")
        checks = (container.attrs["State"].get("Health") or {}).get("Log") or [{}]
        said += checks[-1].get("Output", "")
    raise ActionFailed(
        f"have {settings.stack.name} healthy within {settings.stack.wait} s (it is {container.status})",
        output=said,
        next_move="`inv stack.logs` shows more; mend what it says, then run the same command again.",
    )
