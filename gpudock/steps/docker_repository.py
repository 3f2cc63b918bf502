"""Docker's own apt repository: its key, its list, and the login of a mirror that asks for one."""

from __future__ import annotations

from dataclasses import replace

from gpudock.actions import Action, Write, shell
from gpudock.answers import Answers
from gpudock.questions import Questions, file
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import login
from gpudock.steps.machine import Machine

REPOSITORY = "https://download.docker.com"
KEYRING = "/etc/apt/keyrings/docker.asc"
SOURCE = "/etc/apt/sources.list.d/docker.list"
LOGIN = login.apt_path("docker")

# Only a machine without an engine asks whether the repository answers; to one with a login, which is not sent along, a
# refusal is an answer. A name server that is gone takes longer than apt's own limits.
ANSWERS = """command -v dockerd >/dev/null && exit 0
file=$(mktemp -u)
said=$(timeout 20 /usr/lib/apt/apt-helper -o Acquire::Retries=0 -o Acquire::https::Timeout=5 \\
  -o Acquire::http::Timeout=5 download-file "$1" "$file" 2>&1) && { rm -f "$file"; echo reachable; exit; }
case "$2 $said" in *login*" 401 "*) echo reachable;; *) false;; esac"""

FETCH = 'mkdir -p "$(dirname "$2")" && /usr/lib/apt/apt-helper download-file "$1" "$2" && chmod 0644 "$2"'


def questions(settings: Settings) -> Questions:
    """Whether the repository answers, and what is here of it."""
    private = "login" if login.given(address(settings)) else ""
    return {
        "docker.repository": question(ANSWERS, f"{login.public(address(settings))}/linux/debian/gpg", private),
        "docker.source": file(SOURCE),
        "docker.login": login.asked(LOGIN),
    }


def address(settings: Settings) -> str:
    """The address of Docker's packages, as set: with a login where it has one."""
    return settings.mirrors.docker or REPOSITORY


def reachable(answers: Answers) -> bool:
    """Whether the repository answered."""
    return answers["docker.repository"].out.strip() == "reachable"


def add(settings: Settings, host: Machine, there: str) -> list[Action]:
    """Fetch the key and add the list; apt finds the mirror's login in a file of its own. `there` is `login.found`."""
    public = login.public(address(settings))
    fetch = shell("fetch the key of Docker's repository", FETCH, f"{public}/linux/{host.upstream}/gpg", KEYRING)
    return [
        *_keep_login(settings, there),
        replace(fetch, environment=settings.network.environment),
        Write("add Docker's repository", SOURCE, line(public, host)),
    ]


def mend(settings: Settings, host: Machine, source: str | None, there: str) -> list[Action]:
    """Keep the login in its file, and take it out of the list of a gpudock that still wrote it there."""
    wanted = line(login.public(address(settings)), host)
    if source == wanted and login.given(address(settings)):
        return _keep_login(settings, there)
    if source is None or source == wanted or source != line(address(settings), host):
        return []
    why = "take the mirror's login out of Docker's source, which everybody can read"
    return [*_keep_login(settings, there), Write(why, SOURCE, wanted, source, secret=True)]


def line(base: str, host: Machine) -> str:
    """Write the list's line."""
    where = f"{base}/linux/{host.upstream} {host.codename} stable"
    return f"deb [arch={host.architecture} signed-by={KEYRING}] {where}\n"


def _keep_login(settings: Settings, there: str) -> list[Action]:
    return login.keep("Docker", LOGIN, login.apt_entry(address(settings)), there)
