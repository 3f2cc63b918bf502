"""The way back: what gpudock's record says it brought goes, and what was here before is as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpudock.actions import Action, remove, shell
from gpudock.settings import Settings
from gpudock.steps.toolkit import cuda_repository, daemon, former, record, repository, rpm
from gpudock.steps.toolkit.change import Replace, decode
from gpudock.steps.toolkit.facts import Toolkit
from gpudock.steps.toolkit.former import Leaving
from gpudock.steps.toolkit.source import write
from gpudock.steps.toolkit.take_up import TAKE_UP

RELOAD = (
    TAKE_UP
    + """answers || exit 0; take_up reload; format=$1 said=$2
forgets() { ! docker info --format "$format" | grep -q "$said"; }
waits 60 forgets || { echo "Docker does not take the change up"; exit 1; }"""
)
LISTED, DEFAULT = ("{{json .Runtimes}}", '"nvidia":{'), ("{{.DefaultRuntime}}", "^nvidia$")
# The record goes in one move, last: half of it would be read as a host that had no daemon.json.
FORGET = """cd "$1"; rm -f brought written needs-start sighted lists; mv -T before gone; rm -rf gone"""
BRING_BACK = 'cat "$1" >"$2.new"; chmod 0644 "$2.new"; mv "$2.new" "$2"'


def plan(settings: Settings, leaving: Leaving) -> list[Action]:
    """Take away what gpudock brought: runtime, packages, repository and key. Without a record it brought nothing.

    Packages that were here before go back to their version of then, where a repository still has it.
    """
    toolkit = leaving.toolkit
    if not toolkit.record.made:
        return []
    folder = record.folder(settings)
    kept = "the backups of daemon.json stay" + "".join(f"; {left}" for left in former.left(leaving))
    return [
        *_daemon(settings, toolkit),
        *former.packages(settings, leaving),
        *_files(toolkit, folder),
        *repository.switch_on(toolkit.others),
        shell(f"forget what was here before ({kept})", FORGET, folder),
    ]


def former_daemon(toolkit: Toolkit) -> str | None:
    """daemon.json without what gpudock put in: byte for byte as it was, where nobody else has changed a key since."""
    before, now = _before(toolkit, "daemon.json"), toolkit.daemon
    if now.text is None:
        return None
    then, current = daemon.parse(before, now.path), daemon.parse(now.text, now.path)
    undone = daemon.undo(current, then)
    if undone == then:
        return before
    return now.text if undone == current else daemon.render(undone, now.text)


def _daemon(settings: Settings, toolkit: Toolkit) -> list[Action]:
    text, now = former_daemon(toolkit), toolkit.daemon
    if text == now.text:
        return []
    actions, folder = list[Action](), record.folder(settings)
    current, wanted = daemon.parse(now.text, now.path), daemon.parse(text, now.path)
    between, reload = daemon.without_runtime(current, wanted), _reload(toolkit, current, wanted)
    if reload and between != wanted:
        # A reload passes over a key that is missing (moby's daemon/reload.go): so what it is to forget is there, empty.
        actions += [Replace("have Docker forget the nvidia runtime", now, daemon.render(between, now.text), folder)]
        actions += reload
        now, reload = replace(now, text=daemon.render(between, now.text)), []
    actions += [Replace("take the nvidia runtime out of daemon.json", now, text, folder), *reload]
    if "no-docker-folder" in toolkit.record.before:
        why, script = "remove Docker's folder, if it is empty", 'rmdir "$(dirname "$1")" 2>/dev/null || :'
        actions.append(shell(why, script, now.path))
    return actions


def _reload(toolkit: Toolkit, current: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Action]:
    """Have a Docker that knows the runtime, or takes it by default, forget that."""
    goes = "nvidia" not in (wanted.get("runtimes") or {})
    default = current.get("default-runtime") == "nvidia" != wanted.get("default-runtime")
    if "nvidia" not in toolkit.engine.runtimes or not (goes or default):
        return []
    return [shell("reload Docker (containers go on running)", RELOAD, *(LISTED if goes else DEFAULT))]


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
    return [*actions, *rpm.forget(toolkit.fingerprints, toolkit.trusted, toolkit.record.before.get("trusted", b""))]


def _before(toolkit: Toolkit, name: str) -> str | None:
    data = toolkit.record.before.get(name)
    return None if data is None else decode(data)
