"""How a running Docker is had to take a changed daemon.json up: by systemd, by an init script, or by hand."""

from __future__ import annotations

# Without systemd: a daemon that engine.install or somebody started by hand starts again with the words that it was
# started with (kept, as it may not come back), unless a supervisor is quicker. The init script goes by a pid file of
# its own, and would not see a daemon that it has not started.
TAKE_UP = """words=/run/gpudock-dockerd
answers() { docker info >/dev/null 2>&1; }
dockerd_pid() { pid=$(cat /var/run/docker.pid 2>/dev/null) && grep -qs dockerd "/proc/$pid/cmdline" && echo "$pid"; }
waits() { left=$1; shift; until "$@"; do left=$((left - 1)); [ $left -gt 0 ] || return 1; sleep 0.5; done; }
gone() { ! grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status"; }
decided() { answers || { [ -n "$started" ] && gone "$started"; }; }
restart_by_hand() {
  if former=$(dockerd_pid); then
    cat "/proc/$former/cmdline" >"$words"; kill -TERM "$former"
    waits 120 gone "$former" || { echo "dockerd (process $former) does not end"; return 1; }
  fi
  started=
  waits 4 dockerd_pid >/dev/null || {
    setsid sh -c 'exec xargs -0 env' <"$words" >>/var/log/docker.log 2>&1 & started=$!; }
  waits 60 decided; answers || { tail -n 5 /var/log/docker.log; return 1; }
}
take_up() {
  if [ -d /run/systemd/system ]; then systemctl reset-failed docker 2>/dev/null || :; systemctl "$1" docker
  elif [ "$1" = reload ]; then kill -HUP "$(dockerd_pid)"
  elif [ "$(cat /var/run/docker-ssd.pid 2>/dev/null)" = "$(dockerd_pid)" ] && [ ! -e "$words" ]; then
    /etc/init.d/docker restart
  else restart_by_hand; fi
}
"""
