"""The way back: what gpudock's record says it brought goes, and what was here before is as it was."""

from __future__ import annotations

from dataclasses import replace

from gpudock.actions import Action, Run, remove, shell
from gpudock.settings import Settings
from gpudock.steps import apt
from gpudock.steps.toolkit import cuda_repository, daemon, record, repository, rpm
from gpudock.steps.toolkit.change import Replace, decode
from gpudock.steps.toolkit.facts import PACKAGES, Toolkit
from gpudock.steps.toolkit.source import write

# Of what came along, only that goes which nothing else has come to need meanwhile: removing must not spread.
REMOVE = """brought=" $* "; spreads() {
  for gone in $(apt-get -s remove "$@" | sed -n 's/^Remv \\([^ ]*\\).*/\\1/p'); do
    case "$brought" in *" $gone "*) ;; *) return 0;; esac; done; return 1; }
if spreads "$@"; then
  chosen=
  for name in "$@"; do spreads $chosen "$name" || chosen="$chosen $name"; done; set -- $chosen
fi
[ $# -eq 0 ] || apt-get -y --allow-change-held-packages -o DPkg::Lock::Timeout=600 purge "$@\""""
RELOAD = """if [ -d /run/systemd/system ]; then systemctl reload docker; else kill -HUP "$(cat /var/run/docker.pid)"; fi
sleep 1"""
# The record goes in one move, last: half of it would be read as a host that had no daemon.json.
FORGET = """cd "$1"; rm -f brought written needs-start sighted lists; mv -T before gone; rm -rf gone"""
BRING_BACK = 'cat "$1" >"$2.new"; chmod 0644 "$2.new"; mv "$2.new" "$2"'


def plan(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Take away what gpudock brought: runtime, packages, repository and key. Without a record it brought nothing.

    Docker lists the runtime until it next starts: a reload does not take one away (facts/toolkit.md §3). Packages that
    were here before stay, at the version they have now: an older one could be a vulnerable one.
    """
    if not toolkit.record.made:
        return []
    folder = record.folder(settings)
    return [
        *_daemon(settings, toolkit),
        *_packages(settings, toolkit),
        *_files(toolkit, folder),
        *repository.switch_on(toolkit.others),
        shell("forget what was here before (the backups of daemon.json stay)", FORGET, folder),
    ]


def former_daemon(toolkit: Toolkit) -> str | None:
    """daemon.json without what gpudock put in: byte for byte as it was, where nobody else has changed a key since."""
    before, now = _before(toolkit, "daemon.json"), toolkit.daemon
    if now.text is None:
        return None
    former, current = daemon.parse(before, now.path), daemon.parse(now.text, now.path)
    undone = daemon.undo(current, former)
    if undone == former:
        return before
    return now.text if undone == current else daemon.render(undone, now.text)


def _daemon(settings: Settings, toolkit: Toolkit) -> list[Action]:
    text, now = former_daemon(toolkit), toolkit.daemon
    if text == now.text:
        return []
    folder, actions = record.folder(settings), list[Action]()
    current, former = daemon.parse(now.text, now.path), daemon.parse(text, now.path)
    if current.get("default-runtime") == "nvidia" and not former.get("default-runtime"):
        # A reload that misses the key keeps the former default, and without its program no container would start.
        between = daemon.render({**current, "default-runtime": "runc"}, now.text)
        actions.append(Replace("make runc the default runtime again", now, between, folder))
        actions.append(shell("reload Docker", RELOAD))
        now = replace(now, text=between)
    actions.append(Replace("take the nvidia runtime out of daemon.json", now, text, folder))
    if "no-docker-folder" in toolkit.record.before:
        actions.append(
            shell("remove Docker's folder, if it is empty", 'rmdir "$(dirname "$1")" 2>/dev/null || :', now.path)
        )
    return actions


def _packages(settings: Settings, toolkit: Toolkit) -> list[Action]:
    if toolkit.manager != "apt":
        theirs = toolkit.record.before.get("packages", b"").decode().split()
        came = tuple(name for name in toolkit.versions if name not in theirs)
        return [rpm.remove(toolkit.manager, came)] if came else []
    ours = tuple(name for name in PACKAGES if name in toolkit.record.brought and name in toolkit.versions)
    actions: list[Action] = []
    if ours:
        rest = tuple(name for name in toolkit.record.brought if name not in PACKAGES)
        argv = ("sh", "-ec", REMOVE, "sh", *ours, *rest)
        actions.append(Run("remove the packages that came with gpudock", argv, environment=apt.environment(settings)))
    released = tuple(name for name in toolkit.held if name not in toolkit.record.holds and name not in ours)
    if released:
        actions.append(Run("release the toolkit's packages", ("apt-mark", "unhold", *released)))
    return actions


def _files(toolkit: Toolkit, folder: str) -> list[Action]:
    source = _before(toolkit, "source")
    actions: list[Action] = []
    key, path, _ = toolkit.paths
    if toolkit.preferences is not None:
        actions.append(remove("remove apt's preferences for NVIDIA's CUDA repository", cuda_repository.PREFERENCES))
    if toolkit.login:
        actions.append(remove("remove the login of NVIDIA's mirror", repository.LOGIN, rpm.ZYPPER_LOGIN))
    if source is not None and source != toolkit.source:
        actions.append(write("bring the former entry for NVIDIA's repository back", toolkit, source))
    elif source is None and toolkit.source is not None:
        actions.append(remove("remove NVIDIA's repository", path))
    if "keyring" in toolkit.record.before:
        actions.append(shell("bring the former key back", BRING_BACK, f"{folder}/before/keyring", key))
    elif toolkit.fingerprints:
        actions.append(remove("remove NVIDIA's key", key))
    return actions


def _before(toolkit: Toolkit, name: str) -> str | None:
    data = toolkit.record.before.get(name)
    return None if data is None else decode(data)
