"""The services in the container, sshd and JupyterLab: switched by files on the host, run by its supervisor.

A file says that a service is wanted, so the switch outlives the container, a `docker restart` and a reboot;
`gpudock-service apply` in the container brings the services to what the files say.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from gpudock.actions import Action, Run, Write, remove
from gpudock.answers import Answers
from gpudock.questions import Questions, after_engine
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps import compose, container, engine, folder
from gpudock.steps.container import Container

# What `gpudock-service status` says, read from the files that runit and gpudock-users keep in the container, as
# `docker exec` costs the host ten times that. Nothing of the container is run: it would have all of root's powers.
STATUS = """pid=$(grep -o '"Pid":[0-9]*' "$engine" 2>/dev/null); pid=${pid##*:}
run=/proc/${pid:-0}/root/run
[ -f "$run/service/ssh/supervise/stat" ] || exec docker exec "$1" gpudock-service status
for name in ssh jupyter; do
  read -r state <"$run/service/$name/supervise/stat"
  case $state in run*) echo "$name up" ;; *) echo "$name down" ;; esac
done
read -r applied <"$run/gpudock/users.applied"
wanted='{EMPTY}  -'; for file in users password; do
  [ ! -e "$2/ssh/$file" ] || { wanted=$(cat "$2/ssh/users" "$2/ssh/password" 2>/dev/null | sha256sum); break; }
done
[ "$wanted" = "$applied" ] && echo users applied || echo users pending
read="$run/gpudock/jupyter"; [ -e "$read.password" ] || [ -e "$read.token" ] || exit 0
for file in password token; do
  [ -e "$2/jupyter/$file" ] || continue
  [ -e "$read.$file" ] && ! [ "$2/jupyter/$file" -nt "$read.$file" ] && continue
  cmp -s "$2/jupyter/$file" "$read.$file" || { echo jupyter pending; break; }
done""".replace("{EMPTY}", sha256().hexdigest())


@dataclass(frozen=True)
class Services:
    """Which services are wanted, by their files, and which are up, by their supervisor.

    `users` tells that the container's accounts are what their files say, `former` that JupyterLab runs with a password
    or token that was there before the one in its file.
    """

    container: Container
    wanted: tuple[str, ...]
    up: tuple[str, ...]
    users: bool = True
    former: bool = False


def questions(settings: Settings) -> Questions:
    """What to know of the services."""
    return {
        **container.questions(settings),
        "services.wanted": folder.asked(compose.shared(settings), "services"),
        "services.up": after_engine(STATUS, settings.stack.name, compose.shared(settings)),
    }


def read(settings: Settings, answers: Answers) -> Services:
    """Make Services of the answers: lines such as `ssh up` and `users applied`."""
    rows = [line.split() for line in answers["services.up"].out.splitlines()]
    return Services(
        container=container.read(settings, answers),
        wanted=tuple(sorted(path.rpartition("/")[2] for path in answers["services.wanted"].files)),
        up=tuple(row[0] for row in rows if row[1:] == ["up"]),
        users=["users", "applied"] in rows,
        former=["jupyter", "pending"] in rows,
    )


def start(settings: Settings, services: Services, name: str, *, changed: bool) -> list[Action]:
    """Switch a service on, or have it take up files that have `changed`. Raises Blocked without a container."""
    engine.need(services.container.image.engine)
    if not services.container.running:
        raise Blocked("stack.up", f"The container {settings.stack.name} does not run.")
    if name in services.wanted and name in services.up and not changed:
        return []
    switch = Write(f"switch {name} on", f"{compose.shared(settings)}/services/{name}", "on\n", None)
    return [*([] if name in services.wanted else [switch]), _apply(settings, f"start {name} and wait until it listens")]


def stop(settings: Settings, services: Services, name: str) -> list[Action]:
    """Switch a service off; it stays off until it is started again."""
    engine.need(services.container.image.engine)
    actions: list[Action] = []
    if name in services.wanted:
        actions.append(remove(f"switch {name} off", f"{compose.shared(settings)}/services/{name}"))
    if services.container.running and (name in services.wanted or name in services.up):
        actions.append(_apply(settings, f"stop {name}"))
    return actions


def _apply(settings: Settings, why: str) -> Action:
    return Run(why, ("docker", "exec", settings.stack.name, "gpudock-service", "apply"))
