"""1.4 daemon.json gets NVIDIA's runtime, and CDI where containers get their GPUs by it."""

from __future__ import annotations

from gpudock.actions import Action, shell
from gpudock.errors import Refused
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps.gpu_mode import choose, knows_cdi
from gpudock.steps.toolkit import cdi, daemon, record
from gpudock.steps.toolkit.change import Replace
from gpudock.steps.toolkit.facts import Toolkit, marker, remember
from gpudock.steps.toolkit.platform import need_ordinary_engine

FLAGS = ("--add-runtime", "--default-runtime")


def plan(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Have Docker know NVIDIA's runtime; each other key of daemon.json stays."""
    need_ordinary_engine(toolkit)
    if not toolkit.version:
        raise Blocked("toolkit.package", "The NVIDIA Container Toolkit is not installed.")
    engine, file = toolkit.engine, toolkit.daemon
    specification = cdi.generate(settings, engine, engine.machine, toolkit.specification)
    if by_flags_alone(settings, toolkit):
        return specification
    switch = cdi.switch_needed(settings, engine)
    before = daemon.parse(file.text, file.path)
    after = daemon.with_runtime(before, default=settings.toolkit.set_as_default, cdi=switch)
    if after == before or _by_flag(toolkit):
        return specification
    text = daemon.render(after, file.text)
    actions = [
        *remember(settings, toolkit),
        Replace("add the nvidia runtime to daemon.json", file, text, record.folder(settings)),
    ]
    if switch and not (before.get("features") or {}).get("cdi"):
        actions.append(shell("note that CDI needs a start of Docker", ': >"$1"', marker(settings)))
    return actions + specification


def by_flags_alone(settings: Settings, toolkit: Toolkit) -> bool:
    """Whether daemon.json may name no runtime, as flags do, and CDI needs none."""
    flagged = any(word.startswith(FLAGS) for word in toolkit.daemon.flags)
    return flagged and choose(settings, toolkit.engine).mode == "cdi" and knows_cdi(toolkit.engine)


def _by_flag(toolkit: Toolkit) -> bool:
    """Whether dockerd gets its runtimes by flags: it would not start with the same key in daemon.json.

    Raises Refused where these flags do not name NVIDIA's.
    """
    flags = [word for word in toolkit.daemon.flags if word.startswith(FLAGS)]
    if not flags:
        return False
    if "nvidia" in toolkit.engine.runtimes:
        return True
    raise Refused(
        f"dockerd is started with {' '.join(flags)}, and would not start with runtimes in {toolkit.daemon.path} too "
        "(`systemctl cat docker` shows where). Move that flag into daemon.json, or add "
        "--add-runtime=nvidia=/usr/bin/nvidia-container-runtime beside it, and restart Docker."
    )
