"""1.5 Docker takes the runtime up: by a reload, which stops no container, and by a restart only where it must be."""

from __future__ import annotations

from gpudock.actions import Action, shell
from gpudock.errors import Refused
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps import engine
from gpudock.steps.gpu_mode import needs_start
from gpudock.steps.toolkit import daemon, record
from gpudock.steps.toolkit.configure import by_flags_alone
from gpudock.steps.toolkit.facts import Toolkit
from gpudock.steps.toolkit.platform import need_ordinary_engine
from gpudock.steps.toolkit.take_up import TAKE_UP

# Reload is asynchronous (moby#47353), and a configuration that Docker refuses is only logged: hence the wait.
# What gpudock wrote, and nobody has changed since, goes back where Docker does not live with it.
APPLY = (
    TAKE_UP
    + """how=$1 target=$2 folder=$3 tries=$4
lists() { docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"'; }
if take_up "$how" && waits "$tries" lists; then exit 0; fi
if answers; then echo "Docker answers, and does not list the nvidia runtime"; else echo "Docker did not come back"; fi
journalctl -q -u docker -n 8 --no-pager -o cat 2>/dev/null | grep -i -E 'fail|error|unable|conflict|invalid' || :
last=$(ls "$folder/backups" 2>/dev/null | tail -n 1)
if [ -z "$last" ] || [ "$(sha256sum <"$target" | cut -d' ' -f1)" != "$(cat "$folder/written" 2>/dev/null)" ]; then
  echo "$target is not as gpudock wrote it, so it is left as it is"; exit 1
fi
if [ -e "$folder/backups/$last/daemon.json" ]; then
  cp -p "$folder/backups/$last/daemon.json" "$target.gpudock-former"; mv -f "$target.gpudock-former" "$target"
else rm -f "$target"; fi
answers || how=restart; take_up "$how" || :
echo "the former daemon.json is back"; ! waits "$tries" answers || echo "and Docker runs with it"
exit 1"""
)
TRIES = 40  # half seconds


def plan(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Reload where Docker does not know the runtime; restart where it is older than the toolkit and that matters.

    Raises Refused, with the way out, where a restart would stop containers.
    """
    engine.need(toolkit.engine)
    need_ordinary_engine(toolkit)
    words = (toolkit.daemon.path, record.folder(settings), str(TRIES))
    if toolkit.outdated and needs_start(settings, toolkit.engine):
        _refuse_to_stop(settings, toolkit)
        return [shell("restart Docker: it is older than the toolkit", APPLY, "restart", *words)]
    if "nvidia" in toolkit.engine.runtimes or by_flags_alone(settings, toolkit):
        return []
    if "nvidia" not in (daemon.parse(toolkit.daemon.text, toolkit.daemon.path).get("runtimes") or {}):
        raise Blocked("toolkit.configure", "daemon.json does not name the nvidia runtime.")
    return [shell("reload Docker (containers go on running)", APPLY, "reload", *words)]


def _refuse_to_stop(settings: Settings, toolkit: Toolkit) -> None:
    known = toolkit.engine
    if not known.running or known.live_restore or settings.engine.stop_containers:
        return
    raise Refused(
        f"gpu.mode={settings.gpu.mode} needs a restart of Docker, which would stop {', '.join(toolkit.running)}. "
        'Either set "live-restore": true in daemon.json and reload Docker, so that they go on running; or let them '
        "stop: the same command with --yes; or take gpu.mode=runtime, for which a reload is enough."
    )
