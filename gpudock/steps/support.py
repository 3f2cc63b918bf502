"""support.bundle: what somebody who helps has to know of a host, in one archive, without its secrets."""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

import gpudock
from gpudock.answers import Answers
from gpudock.command import Job, command, namespace
from gpudock.config import OWN, Loaded, describe
from gpudock.errors import UsageError
from gpudock.questions import Questions, ask, file
from gpudock.questions import shell as question
from gpudock.redaction import HIDDEN, clean
from gpudock.settings import Settings
from gpudock.steps import accounts, compose, jupyter

LOG_LINES = 400

VERSIONS = """uname -a; for tool in 'docker version' 'docker compose version' 'docker-compose version' \\
  'nvidia-ctk --version' 'nvidia-smi' 'runc --version' 'containerd --version'; do
  command -v "${tool%% *}" >/dev/null && { echo; echo "# $tool"; $tool 2>&1; }; done; :"""
ENGINE_LOG = 'journalctl -q -o short-iso -n "$1" -u docker.service 2>/dev/null || tail -n "$1" /var/log/docker.log'
CONTAINER_LOG = 'docker logs --tail "$1" "$2" 2>&1'
AUDIT = 'tail -n 100 "$1" 2>/dev/null; :'

# Variables that gpudock sets itself; others may hold anything.
PLAIN = (
    *("GPUDOCK_USER", "GPUDOCK_UID", "GPUDOCK_GID", "SSH_PORT", "SSH_PASSWORDS", "JUPYTER_PORT", "JUPYTER_DIRECTORY"),
    *("TZ", "LANG", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
)

# Asked only to be taken out of everything else.
SECRETS = """cd "$1" 2>/dev/null || exit 0
cat jupyter/password jupyter/token ssh/password 2>/dev/null
docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$2" 2>/dev/null |
  grep -iE '^[^=]*(pass|secret|token|key|credential)' | cut -d= -f2-; :"""

ABOUT = """What is in here, all of it without passwords, tokens, keys and hashes:

about.json           versions of gpudock and of the operator's machine
doctor.json          what `doctor` found, cannot tell, and found fine
settings.txt         each setting and where it was set
versions.txt         kernel, Docker, Compose, toolkit, driver
logs/engine.txt      the engine's last lines
logs/container.txt   the container's last lines
logs/audit.txt       what gpudock changed on the host
compose.yml          the stack's compose file, values of its environment hidden
containers.txt       the containers of the host
facts/               the answers that doctor judged, as the host gave them
"""


@command(options={"output": "The archive to write, or a folder for it; without it .gpudock."})
def bundle(job: Job, output: str = "") -> None:
    """Gather facts, versions, logs and settings without their secrets into one archive for a ticket."""
    path = _path(job, output)
    if job.options.dry_run:
        job.say(f"would write {path}:\n{ABOUT}", path=str(path))
        return
    files = gather(job)
    write(path, files)
    text = f"{path}\nWithout passwords, tokens, keys and hashes; look it through before you send it: tar -tzf {path}"
    job.say(text, path=str(path), files=sorted(files))


def gather(job: Job) -> Mapping[str, str]:
    """The archive's files by their names, their secrets removed. Everything is asked in one round trip."""
    from gpudock.steps.doctor import asked, rules, show  # read only where they are used
    from gpudock.steps.doctor.rule import examine

    answers = ask(job.host, {**asked.questions(job.settings), **_questions(job.settings)})
    seen = examine(rules.RULES, job.settings, answers)
    texts = {
        "README.txt": ABOUT,
        "about.json": _json(_about(job)),
        "doctor.json": _json(show.facts(seen, job.program)),
        "settings.txt": _settings(job),
        "versions.txt": answers["support.versions"].out,
        "logs/engine.txt": answers["support.engine-log"].out,
        "logs/container.txt": answers["support.container-log"].out,
        "logs/audit.txt": answers["support.audit"].out,
        "compose.yml": _compose(answers["support.compose"].out),
        "containers.txt": answers["support.containers"].out,
        **{f"facts/{name}.txt": _fact(answers, name) for name in asked.questions(job.settings)},
    }
    secrets = [
        *map(str.strip, answers["support.secrets"].out.splitlines()),
        *(value for value in job.settings.stack.environment.values() if isinstance(value, str)),
        *_given(job.settings),
    ]
    return {name: clean(text, secrets) for name, text in texts.items()}


def write(path: Path, files: Mapping[str, str]) -> None:
    """Write the archive, readable by the operator alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.name.removesuffix(".tar.gz")
    path.touch(mode=0o600)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in sorted(files.items()):
            data = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))


def _path(job: Job, output: str) -> Path:
    """Where the archive goes: one a host, also where one name was given for several."""
    own = f"support-{job.host.name}-{_stamp()}.tar.gz"
    wanted = Path(output).expanduser() if output else OWN
    if not output or wanted.is_dir():
        return wanted / own
    return wanted.with_name(f"{job.host.name}-{wanted.name}") if job.report.hosts > 1 else wanted


def _given(settings: Settings) -> Iterator[str]:
    """The passwords of the operator's environment and files; a file that cannot be read has none to betray."""
    for given in (jupyter.given, accounts.given):
        with suppress(UsageError):
            yield given(settings) or ""


def _questions(settings: Settings) -> Questions:
    name = settings.stack.name
    return {
        "support.versions": question(VERSIONS),
        "support.engine-log": question(ENGINE_LOG, str(LOG_LINES)),
        "support.container-log": question(CONTAINER_LOG, str(LOG_LINES), name),
        "support.audit": question(AUDIT, settings.host.audit),
        "support.compose": file(compose.path(settings)),
        "support.containers": ("docker", "ps", "-a"),
        "support.secrets": question(SECRETS, compose.shared(settings), name),
    }


def _about(job: Job) -> Mapping[str, Any]:
    return {
        "gpudock": gpudock.__version__,
        "host": job.host.name,
        "when": _stamp(),
        "python": platform.python_version(),
        "operator's machine": platform.platform(),
    }


def _settings(job: Job) -> str:
    """Each setting, value and origin; what goes into the container's environment may be a secret."""
    rows = [
        f"{key} = {HIDDEN if key.startswith('stack.environment.') else value}   ({origin})"
        for key, value, origin in describe(Loaded(job.settings, job.origins))
    ]
    return "\n".join(rows) + "\n"


def _compose(text: str) -> str:
    """The compose file with the values of its environment hidden, for whatever was set there by hand."""
    try:
        document = yaml.safe_load(text) or {}
        for service in document.get("services", {}).values():
            given = service.get("environment") or {}
            service["environment"] = {key: value if key in PLAIN else HIDDEN for key, value in given.items()}
    except (yaml.YAMLError, AttributeError, TypeError):
        return "(not a compose file that can be read)\n"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _fact(answers: Answers, name: str) -> str:
    answer = answers[name]
    return f"exit code {answer.code}\n{answer.out}" + (f"\nerrors:\n{answer.err}" if answer.err.strip() else "")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


TASKS = namespace("support", bundle)
