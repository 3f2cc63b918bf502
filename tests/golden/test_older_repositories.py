"""Older .repo files of rpm systems: found, switched off where they name NVIDIA's packages, and brought back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpudock.actions import Write
from gpudock.answers import Answer, HostFile
from gpudock.errors import Refused
from gpudock.steps.toolkit import repository, rpm, source, uninstall
from gpudock.steps.toolkit.facts import Toolkit
from gpudock.steps.toolkit.former import Leaving
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle
from tests.golden.toolkit_facts import NONE, on, whys

OLD = "https://nvidia.github.io"
DOCKER = f"""[libnvidia-container]
name=libnvidia-container
baseurl={OLD}/libnvidia-container/stable/centos7/$basearch
gpgkey={OLD}/libnvidia-container/gpgkey
enabled=1

[libnvidia-container-experimental]
baseurl={OLD}/libnvidia-container/experimental/centos7/$basearch
enabled=0
[nvidia-container-runtime]
baseurl={OLD}/nvidia-container-runtime/stable/centos7/$basearch

[nvidia-docker]
baseurl={OLD}/nvidia-docker/centos7/$basearch
"""
MINE = f"""# ours, and NVIDIA's
[internal]
baseurl=https://example.com/rpm

# as the guide of 2019 said
[theirs]
baseurl={OLD}/nvidia-docker/centos7/$basearch
"""
FILES = {"nvidia-docker.repo": (DOCKER, 12), "company.repo": (MINE, 2), "libnvidia-container.repo": (DOCKER, 12)}
SYSTEMS = {"dnf": ("rocky", "9.7"), "yum": ("rhel", "8.2"), "zypper": ("sles", "15.6")}


def facts_of(manager: str) -> Toolkit:
    """A host with this package manager."""
    distribution, version = SYSTEMS[manager]
    return on(replace(NONE, manager=manager), distribution=distribution, version=version, architecture="x86_64")


@pytest.mark.parametrize("manager", SYSTEMS)
@pytest.mark.parametrize("name", FILES)
def test_older_sections_are_switched_off_and_brought_back(settle: Settle, manager: str, name: str) -> None:
    """Only NVIDIA's sections become comments, before ours comes; uninstalling gives the same bytes."""
    text, lines = FILES[name]
    path, facts = f"/etc/yum.repos.d/{name}", facts_of(manager)
    plan = source.plan_repository(settle(), replace(facts, others={path: text}))
    assert isinstance(plan[0], Write)
    assert (plan[0].path, plan[0].text.count(repository.MARK)) == (path, lines)
    assert plan[0].diff()
    assert ("[internal]\nbaseurl=https://example.com/rpm\n" in plan[0].text) is (text is MINE)
    off = {path: plan[0].text}
    assert whys(source.plan_repository(settle(), replace(facts, others=off)))[0].startswith("fetch")
    back = uninstall.plan(settle(), Leaving(replace(facts, others=off, record=Record(made=True)), {}))
    assert [action.text for action in back if isinstance(action, Write)] == [text]


def test_a_file_with_a_password_is_not_shown_and_not_opened_to_others(settle: Settle) -> None:
    """Dnf keeps logins in .repo files, so such a one stays root's."""
    text = f"[nvidia-docker]\nbaseurl={OLD}/nvidia-docker/x\nusername=a\npassword=quiet-word\n"
    write = source.plan_repository(settle(), replace(facts_of("dnf"), others={"/etc/yum.repos.d/a.repo": text}))[0]
    assert isinstance(write, Write)
    assert write.mode == 0o600
    assert "quiet-word" not in write.diff()


def test_what_is_not_plain_ascii_is_its_owners(settle: Settle) -> None:
    """Refused before anything is touched, with the file's name."""
    text = f"[nvidia-docker]\nname=caf\xe9\nbaseurl={OLD}/nvidia-docker/x\n"
    with pytest.raises(Refused, match=r"a\.repo"):
        source.plan_repository(settle(), replace(facts_of("dnf"), others={"/etc/yum.repos.d/a.repo": text}))


def test_each_manager_minds_its_own_files() -> None:
    """A .repo means nothing to apt, a .list nothing to dnf, and our own file is not another's."""
    ours = ["/etc/apt/sources.list.d/nvidia-container-toolkit.list", rpm.DNF_SOURCE, rpm.ZYPPER_SOURCE]
    theirs = ["/etc/apt/sources.list.d/a.sources", "/etc/yum.repos.d/a.repo", "/etc/zypp/repos.d/a.repo"]
    files = {path: HostFile(repository.REPOSITORY.encode(), "644") for path in ours + theirs}
    answers = {"toolkit.others": Answer((), 0, "", "", files=files)}
    assert list(repository.read_others(answers)) == theirs[:1]
    assert list(repository.read_others(answers, apt=False)) == theirs[1:]


def test_only_what_names_nvidia_is_found() -> None:
    """In either folder, by what they name; other repositories' files, and backups of editors, are nobody's concern."""
    files = {
        "/etc/yum.repos.d/old.repo": MINE,
        "/etc/zypp/repos.d/old.repo": DOCKER,
        "/etc/yum.repos.d/epel.repo": "[epel]\n",
        "/etc/yum.repos.d/old.repo.rpmsave": MINE,
    }
    kept = {path: HostFile(text.encode("latin-1"), "644") for path, text in files.items()}
    found = repository.read_others({"toolkit.others": Answer((), 0, "", "", files=kept)}, apt=False)
    assert found == {"/etc/yum.repos.d/old.repo": MINE, "/etc/zypp/repos.d/old.repo": DOCKER}
