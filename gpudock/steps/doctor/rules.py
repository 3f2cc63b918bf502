"""All rules, topic by topic: what doctor goes through, in this order."""

from __future__ import annotations

from collections.abc import Mapping

from gpudock.errors import UsageError
from gpudock.inventory import nearest
from gpudock.steps.doctor import cdi, container, driver, engine, gpu, network, packages, room, security, toolkit
from gpudock.steps.doctor.rule import Rule

TOPICS: Mapping[str, tuple[Rule, ...]] = {
    "driver": driver.RULES,
    "GPU": gpu.RULES,
    "engine": engine.RULES,
    "toolkit": toolkit.RULES,
    "CDI": cdi.RULES,
    "packages": packages.RULES,
    "containers": container.RULES,
    "room": room.RULES,
    "network": network.RULES,
    "security": security.RULES,
}
RULES = tuple(rule for rules in TOPICS.values() for rule in rules)


def rule(name: str) -> Rule:
    """The rule of this id. Raises UsageError that names the nearest."""
    found = {rule.id: rule for rule in RULES}
    if name not in found:
        raise UsageError(f"--rule {name}: there is no such rule.{nearest(name, found)}")
    return found[name]
