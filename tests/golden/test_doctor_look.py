"""How doctor looks at a host: one round trip, whatever it answers, and nothing secret in what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpudock.answers import Answer, Answers
from gpudock.command import Job
from gpudock.config import load
from gpudock.errors import CannotTell
from gpudock.steps import doctor, jupyter, toolkit
from gpudock.steps.doctor import asked, rules, show
from gpudock.steps.doctor.rule import examine
from tests.conftest import Settle
from tests.golden.doctor_answers import answers, say
from tests.golden.recordings import WELL


def test_the_worst_comes_first_and_what_is_fine_takes_one_line(settle: Settle) -> None:
    """Errors before warnings before notes, a block each with a command; the rest is one line."""
    changed = {"doctor__runc": "runc version 1.2.5\n", "gpu__cuda": "999\n", "gpu__persistence": ""}
    seen = examine(rules.RULES, settle(), answers(settle, **changed))
    text = show.text(seen, "fab -H gpu01")
    assert text.startswith("1 error, 1 warning, 1 note\n\nerror  cuda-dead\n  seen  nvidia-smi answers, and cuInit")
    assert text.index("warning  runc-cve") < text.index("note  persistence")
    assert text.splitlines()[-1].startswith("fine: 55 of 58 rules (driver 8, GPU 2, ")


def test_what_does_not_answer_in_time_is_neither_fine_nor_found(settle: Settle) -> None:
    """A dpkg that hangs tells nothing of packages, an engine that hangs is found, and nothing else that it knows is fine."""
    seen = examine(rules.RULES, settle(), answers(settle, doctor__packages=(124, "")))
    asking = {rule.id for rule in rules.RULES if "doctor.packages" in rule.asks}
    assert (seen.findings, {rule.id for rule, _ in seen.unknown}) == ((), asking)
    assert ("toolkit-missing", "the host did not say in time: doctor.packages") in [
        (rule.id, reason) for rule, reason in seen.unknown
    ]
    engine = {"docker__info": (124, ""), "doctor__disks": (124, "")}
    seen = examine(rules.RULES, settle(), answers(settle, **engine))
    assert [finding.rule.id for finding in seen.findings] == ["docker-down"]
    assert not {"disk-full", "docker-cve"} & {rule.id for rule in seen.fine}


def test_rules_are_told_apart_and_explain_themselves() -> None:
    """Each rule has what a reader needs: a sentence that holds, a reason, a command, an address."""
    for rule in rules.RULES:
        assert rule.id == rule.id.lower()
        assert rule.good[0] == rule.good[0].lower() or rule.good.split()[0] in (
            "SELinux",
            "Docker",
            "JupyterLab",
            "Secure",
            "CUDA",
            "NVIDIA's",
            "GPU",
        )
        assert rule.why.endswith(".")
        assert rule.fix
        assert rule.source.startswith("https://")


ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'
OPENSUSE = 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n'
AMAZON = 'ID="amzn"\nID_LIKE="fedora"\n'
MINT = "ID=linuxmint\nID_LIKE=ubuntu\n"


@pytest.mark.parametrize(
    ("release", "fix"),
    [
        (ROCKY, "dnf upgrade containerd.io"),
        (AMAZON, "dnf upgrade containerd.io"),
        (OPENSUSE, "zypper refresh && zypper update containerd.io"),
        (MINT, "apt-get update && apt-get install --only-upgrade containerd.io"),
    ],
)
def test_a_fix_is_a_command_of_the_hosts_own_package_manager(settle: Settle, release: str, fix: str) -> None:
    """Nobody is told to type apt-get on a host that has dnf or zypper."""
    said = answers(settle, doctor__runc="runc version 1.2.5\n", **{"os-release": release})
    found = [finding for finding in examine(rules.RULES, settle(), said).findings if finding.rule.id == "runc-cve"]
    assert [finding.fix("inv") for finding in found] == [fix]


def test_a_proxy_with_a_password_is_not_put_on_a_command_line(settle: Settle) -> None:
    """What needs it to be tried is `cannot tell`; no question's arguments hold the password."""
    settings = settle("network.https_proxy=http://ops:hunter22@proxy.test:3128", "mirrors.apt=http://mirror.test")
    assert not [name for name, argv in asked.questions(settings).items() if "hunter22" in " ".join(argv)]
    with pytest.raises(CannotTell, match="password"):
        say(
            settle,
            "mirror",
            "network.https_proxy=http://ops:hunter22@proxy.test:3128",
            "mirrors.apt=http://mirror.test",
        )


FRAGMENTS = st.sampled_from(
    ["", "{", "{}", "null", "[]", "1", "-1", "a b c d e f", "|||", "a|1|x", "spec a", "ahead x", *WELL.values()]
)


@given(st.data())
@hypothesis.settings(max_examples=150, deadline=None)
def test_no_answer_makes_doctor_stumble(data: st.DataObject) -> None:
    """Whatever a host prints, each rule finds, is silent, or cannot tell; none ends the look at the others."""
    settings = load(environ={}).settings
    made = {
        name: Answer(
            argv, data.draw(st.sampled_from([0, 1, 124, 127])), data.draw(FRAGMENTS | st.text(max_size=20)), ""
        )
        for name, argv in asked.questions(settings).items()
    }
    seen = examine(rules.RULES, settings, made)
    assert len(seen.findings) + len(seen.unknown) + len(seen.fine) == len(rules.RULES)
    assert show.text(seen, "inv")


def test_a_question_that_steps_ask_too_is_the_same_one(settle: Settle) -> None:
    """One name means one question, wherever it is asked."""
    own, steps = asked.questions(settle()), {**toolkit.questions(settle()), **jupyter.questions(settle())}
    shared = own.keys() & steps.keys()
    assert {"docker.info", "os-release", "image", "ports.listeners"} <= shared
    assert {name: own[name] for name in shared} == {name: steps[name] for name in shared}


def test_all_questions_go_in_one_round_trip(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at all rules asks the host once; a look at one asks what that rule needs, with what is read of the engine."""
    trips: list[set[str]] = []

    def ask(host: object, questions: Mapping[str, Any]) -> Answers:
        trips.append(set(questions))
        return {name: answer for name, answer in answers(settle).items() if name in questions}

    monkeypatch.setattr(doctor, "ask", ask)
    job = cast(Job, SimpleNamespace(host=None, settings=settle()))
    doctor.look(job, rules.RULES)
    doctor.look(job, [rules.rule("mig-empty")])
    doctor.look(job, [rules.rule("disk-full")])
    assert trips == [
        set(asked.questions(settle())),
        {"os-release", "gpu.pci", "gpu.smi", "driver.loaded", "driver.wsl", "gpu.query", "gpu.list"},
        {"os-release", "doctor.disks", "docker.info", "ports.containers", "stack.container", "image"},
    ]
