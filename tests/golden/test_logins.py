"""A mirror's user and password stand in files that root alone reads, and nowhere else that a plan shows or writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from gpudock.actions import Action, Run, Write
from gpudock.answers import Answer
from gpudock.errors import UsageError
from gpudock.json_report import public
from gpudock.steps import docker_repository, engine, login
from gpudock.steps.toolkit import package, repository, rpm, source, uninstall, upgrade
from gpudock.steps.toolkit import questions as toolkit_questions
from gpudock.steps.toolkit.former import Leaving
from gpudock.steps.toolkit.key import FetchKey
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle
from tests.golden.test_plans import BARE
from tests.golden.test_plans import ENGINE as RUNNING
from tests.golden.toolkit_facts import NONE, on, whys

MIRROR = "https://ops:s3cret%40home@mirror.example:8443/nvidia"
PASSWORD = "s3cret@home"
ENTRY = "machine mirror.example:8443/nvidia/ login ops password s3cret@home\n"
WANTED = f"600 {sha256(ENTRY.encode()).hexdigest()}"


def shown(plan: Sequence[Action]) -> str:
    """All that a plan tells: descriptions, diffs, representations, and the command lines that it runs."""
    lines = [json.dumps(action.describe()) + action.diff() + repr(action) for action in plan]
    return "\n".join([*lines, *(" ".join(action.argv) for action in plan if isinstance(action, Run))])


def writes(plan: Sequence[Action]) -> dict[str, Write]:
    """The files that a plan writes."""
    return {action.path: action for action in plan if isinstance(action, Write)}


def hides(text: str) -> bool:
    """Whether a text has the password in neither of its two spellings."""
    return PASSWORD not in text and "s3cret%40home" not in text


@pytest.mark.parametrize(
    ("address", "entry"),
    [
        ("https://u:p@h.example", "machine h.example login u password p\n"),
        ("https://u:p@h.example/a/b/", "machine h.example/a/b/ login u password p\n"),
        ("http://u:p@h.example:81/a", "machine http://h.example:81/a/ login u password p\n"),
        ("https://token@h.example", "machine h.example login token\n"),
        ("https://u:a%2Fb%25@h.example", "machine h.example login u password a/b%\n"),
        ("https://h.example/a", None),
    ],
)
def test_apts_entry_names_what_apt_matches(address: str, entry: str | None) -> None:
    """A protocol where it is not https, the port, the path up to a slash, user and password decoded."""
    assert login.apt_entry(address) == entry
    assert "@" not in login.public(address)


@pytest.mark.parametrize("password", ["a%20b", "a%0Amachine%20other", "a%09"])
def test_a_login_that_apt_would_split_is_refused(password: str) -> None:
    """White space would begin another word of the file, a line break another entry."""
    with pytest.raises(UsageError, match="white space"):
        login.apt_entry(f"https://u:{password}@h.example")


def test_curl_reads_quotes_as_they_are() -> None:
    """Quotes and backslashes do not end the word."""
    assert login.curl_entry("https://u:a%22%5C@h.example") == 'user = "u:a\\"\\\\"'
    assert login.curl_entry("https://h.example") == ""


def test_the_toolkits_login_has_a_file_of_its_own(settle: Settle) -> None:
    """0600, before key and source, which name the mirror without it; nothing shows it, and nothing is left to do."""
    settings = settle(f"mirrors.toolkit={MIRROR}")
    plan = source.plan_repository(settings, NONE)
    assert whys(plan)[0] == "keep the login of NVIDIA's mirror where root alone reads it"
    kept, listed = writes(plan)[repository.LOGIN], writes(plan)[repository.SOURCE]
    assert (kept.text, kept.mode, kept.secret) == (ENTRY, 0o600, True)
    assert "https://mirror.example:8443/nvidia/stable/deb" in listed.text
    assert hides(listed.text)
    assert hides(shown(plan))
    facts = replace(
        NONE, source=listed.text, login=WANTED, fingerprints=(settings.toolkit.fingerprint,), key_mode="644"
    )
    assert source.plan_repository(settings, facts) == []
    for other in (f"644 {WANTED[4:]}", "600 0", ""):
        assert len(source.plan_repository(settings, replace(facts, login=other))) == 1
    assert any(isinstance(action, FetchKey) for action in plan)


def test_a_login_in_an_older_source_is_taken_out_unseen(settle: Settle) -> None:
    """What an earlier gpudock wrote is written anew, and the diff does not show the old line."""
    settings = settle(f"mirrors.toolkit={MIRROR}")
    facts = replace(NONE, source=f"deb {MIRROR}/stable/deb/$(ARCH) /\n")
    plan = source.plan_repository(settings, facts)
    assert hides(writes(plan)[repository.SOURCE].text)
    assert hides(shown(plan))
    assert "source" not in public(facts)


def test_the_way_back_takes_the_login_away(settle: Settle) -> None:
    """Uninstalling removes the file; so does a mirror that has none any more."""
    facts = replace(NONE, source="deb x\n", login=WANTED, record=Record(made=True))
    gone = [action for action in uninstall.plan(settle(), Leaving(facts, {})) if isinstance(action, Run)]
    assert any(repository.LOGIN in action.argv for action in gone)
    assert "remove the login of NVIDIA's former mirror" in whys(source.plan_repository(settle(), facts))


def test_no_command_line_has_the_login(settle: Settle) -> None:
    """Neither a question's nor that of the installation, where every user of the host could read it."""
    settings = settle(f"mirrors.toolkit={MIRROR}", f"mirrors.docker={MIRROR}")
    asked = {**toolkit_questions(settings), **upgrade.questions(settings), **engine.questions(settings)}
    assert hides(" ".join(word for argv in asked.values() for word in argv))
    assert hides(shown(package.plan(settings, replace(NONE, source="x"))))


def test_dnf_has_the_login_in_a_source_that_root_alone_reads(settle: Settle) -> None:
    """Dnf and yum know no other file for it."""
    settings = settle(f"mirrors.toolkit={MIRROR}")
    facts = on(replace(NONE, manager="dnf"), distribution="rocky", version="9.7", architecture="x86_64")
    plan = source.plan_repository(settings, facts)
    repo = writes(plan)[rpm.DNF_SOURCE]
    assert repo.mode == 0o600
    assert repo.text.count(f"username=ops\npassword={PASSWORD}\n") == 2
    assert hides(shown(plan))
    back = writes(source.plan_repository(settle(), replace(facts, source=repo.text)))[rpm.DNF_SOURCE]
    assert (back.mode, back.secret) == (0o644, True)


def test_zypper_has_the_login_in_its_credentials(settle: Settle) -> None:
    """The source names the file, and everybody may read the source."""
    facts = on(replace(NONE, manager="zypper"), distribution="sles", version="15.6", architecture="x86_64")
    plan = source.plan_repository(settle(f"mirrors.toolkit={MIRROR}"), facts)
    kept, repo = writes(plan)[rpm.ZYPPER_LOGIN], writes(plan)[rpm.ZYPPER_SOURCE]
    assert (kept.text, kept.mode) == (f"username=ops\npassword={PASSWORD}\n", 0o600)
    assert "/rpm/$basearch?credentials=gpudock-toolkit\n" in repo.text
    assert repo.mode == 0o644
    assert hides(shown(plan) + repo.text)


def test_dockers_login_has_a_file_of_its_own(settle: Settle) -> None:
    """The same for the engine's packages: login, key, source, in this order."""
    settings = settle(f"mirrors.docker={MIRROR}", "engine.source=docker")
    plan = engine.plan(settings, BARE)
    assert whys(plan)[:3] == [
        "keep the login of Docker's mirror where root alone reads it", "fetch the key of Docker's repository",
        "add Docker's repository",
    ]  # fmt: skip
    assert writes(plan)[docker_repository.LOGIN].text == ENTRY
    assert "mirror.example:8443/nvidia/linux/debian trixie" in writes(plan)[docker_repository.SOURCE].text
    assert hides(shown(plan) + writes(plan)[docker_repository.SOURCE].text)


def test_dockers_older_source_is_mended_and_others_are_left(settle: Settle) -> None:
    """The line that an earlier gpudock wrote, and no other; a changed password is brought to its file."""
    settings = settle(f"mirrors.docker={MIRROR}")
    old = docker_repository.line(MIRROR, RUNNING.machine)
    plan = engine.plan(settings, replace(RUNNING, source=old))
    new = writes(plan)[docker_repository.SOURCE].text
    assert hides(new + shown(plan))
    assert engine.plan(settings, replace(RUNNING, source=new, login=WANTED)) == []
    assert list(writes(engine.plan(settings, replace(RUNNING, source=new, login="600 0")))) == [docker_repository.LOGIN]
    assert engine.plan(settings, replace(RUNNING, source=f"# mine\n{old}")) == []
    assert engine.plan(settle(), replace(RUNNING, source=old, login=WANTED)) == []


@pytest.mark.parametrize(
    ("said", "code", "private", "expected"),
    [("ok", 0, "", True), ("E: 401  Unauthorized", 100, "login", True), ("E: 401  Unauthorized", 100, "", False),
     ("E: 404  Not Found", 100, "login", False)],
)  # fmt: skip
def test_a_refusal_to_those_without_login_is_an_answer(said: str, code: int, private: str, expected: bool) -> None:
    """The mirror with a login is there, although the question does not bring the login."""
    helper = f"helper() {{ echo '{said}'; return {code}; }}; command() {{ false; }}; "
    script = helper + docker_repository.ANSWERS.replace("timeout 20 /usr/lib/apt/apt-helper", "helper")
    out = subprocess.run(["sh", "-c", script, "sh", "x", private], capture_output=True, text=True).stdout
    assert docker_repository.reachable({"docker.repository": Answer((), 0, out, "")}) is expected
