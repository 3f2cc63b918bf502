"""The container's start by itself: who its user is, and what a start that was cut off anywhere has left."""

from __future__ import annotations

import shlex

import pytest

from gpudock.config import ROOT
from tests import testbed
from tests.conftest import Hosts
from tests.engine import docker
from tests.testbed import TestHost
from tests.waiting import until

OPERATOR = "-e GPUDOCK_USER=ops -e GPUDOCK_UID=1234 -e GPUDOCK_GID=1235"
# A program that waits to be let go before it is itself, where one of its words is this.
HOLDS = """#!/bin/sh
case " $* " in *{word}*) touch /run/held; until [ -e /run/go ]; do sleep 0.1; done ;; esac
PATH=/usr/sbin:/usr/bin; exec "${{0##*/}}" "$@"
"""


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server with an image `start`, built by hand from a clone of umask 077, without packages, and one more user."""
    made = hosts("trixie-docker")
    made.load(testbed.image("fresh"), "gpudock/base:bookworm")
    docker("cp", str(ROOT / "docker"), f"{made.name}:/srv/docker")
    made.sh("chmod -R go-rwx /srv/docker")
    authorities = "$(printf -- '--secret id=ca,src=%s' /etc/ssl/certs/ca-certificates.cr[t])"
    arguments = "--build-arg BASE=gpudock/base:bookworm --build-arg NOTEBOOK_LOCK= --build-arg APP_LOCK="
    made.sh(f"docker build -q -t start {arguments} {authorities} /srv/docker")
    made.write("/srv/state/ssh/users", "alice auto no\n")
    return made


def begin(host: TestHost, name: str, options: str = OPERATOR) -> None:
    """Run a container, with the list of users."""
    host.sh(f"docker run -d --init --name {name} -v /srv/state:/etc/gpudock:ro {options} start")


def held(host: TestHost, program: str, word: str = "") -> str:
    """The option by which a program in the container waits to be let go, where one of its words is this."""
    host.write(f"/srv/{program}", HOLDS.format(word=word))
    host.sh(f"chmod 755 /srv/{program}")
    return f"-v /srv/{program}:/usr/local/sbin/{program}:ro"


def within(host: TestHost, name: str, script: str) -> str:
    """What a shell text in a container says, whatever its exit code."""
    return host.sh(f"docker exec {name} sh -c {shlex.quote(script)} 2>&1; :")


def until_done(host: TestHost, name: str) -> None:
    """Wait until a container's start is done."""
    until(lambda: "health: ssh=off" in within(host, name, "gpudock-health"))


def test_a_clone_made_under_a_strict_umask_closes_nothing_in_the_image(host: TestHost) -> None:
    """Docker gives /etc and /usr the modes of the context's: they, and what is ours in them, can be read by all."""
    seen = host.sh("docker run --rm --entrypoint stat start -c %a /etc /usr /usr/local/bin /etc/profile.d/gpudock.sh")
    assert seen.split() == ["755"] * 4


def test_an_operator_may_be_called_as_an_account_of_the_image(host: TestHost) -> None:
    """As `ubuntu` with UID 1001 is on a base that has one with 1000: the name and the UID are the operator's."""
    begin(host, "namesake", OPERATOR.replace("ops", "games"))
    until_done(host, "namesake")
    assert within(host, "namesake", "id games").startswith("uid=1234(games) gid=1235(games) ")


def test_homes_that_a_cut_left_half_made_are_their_owners(host: TestHost) -> None:
    """The machine lost its power when the skeleton was copied and not yet given away: both users have theirs."""
    host.sh(
        "docker run --rm -v homes:/home --entrypoint sh start -c 'for n in ops alice; do cp -rT /etc/skel /home/$n; done'"
    )
    begin(host, "homes", f"{OPERATOR} -v homes:/home")
    until_done(host, "homes")
    owners = within(host, "homes", "stat -c %U /home/ops /home/ops/.bashrc /home/alice /home/alice/.bashrc")
    assert owners.split() == ["ops", "ops", "alice", "alice"]
    assert "ssh user" not in host.sh("docker logs homes 2>&1")


def test_a_users_home_keeps_its_uid_unless_somebody_else_has_it(host: TestHost) -> None:
    """A new container has her by the UID of her home; where another account has that now, home and user get a new one."""
    for name, uid in (("kept", 1500), ("taken", 1234)):
        host.sh(f"docker run --rm -v {name}:/home --entrypoint sh start -c 'install -d -o {uid} /home/alice'")
        begin(host, name, f"{OPERATOR} -v {name}:/home")
        until_done(host, name)
    assert within(host, "kept", "id -u alice") == "1500\n"
    assert within(host, "taken", "stat -c %U /home/alice") == "alice\n"


def test_host_keys_that_a_cut_left_empty_are_made_anew_and_whole_ones_stay(host: TestHost) -> None:
    """A file system that lost its power may have the file and not its content: sshd has both keys all the same."""
    host.sh(
        "docker run --rm -v keys:/k --entrypoint sh start -c 'cd /k; : >ssh_host_ed25519_key; ssh-keygen -q -t rsa -N \"\" -f ssh_host_rsa_key'"
    )
    print_key = "docker run --rm -v keys:/k --entrypoint ssh-keygen start -l -f /k/ssh_host_rsa_key"
    before = host.sh(print_key)
    begin(host, "keys", f"{OPERATOR} -v keys:/etc/ssh/keys")
    until_done(host, "keys")
    assert within(host, "keys", "/usr/sbin/sshd -t") == ""
    assert within(host, "keys", "ssh-keygen -l -f /etc/ssh/keys/ssh_host_ed25519_key").endswith("(ED25519)\n")
    assert host.sh(print_key) == before


def test_a_start_says_nothing_of_what_a_former_one_did(host: TestHost) -> None:
    """Killed and started again it is neither healthy nor are its users applied before it has come to that."""
    begin(host, "again", f"{OPERATOR} {held(host, 'ssh-keygen')}")
    for _ in range(2):
        until(lambda: within(host, "again", "ls /run/held") == "/run/held\n")
        assert within(host, "again", "gpudock-health") == "health: starting\n"
        assert within(host, "again", "gpudock-users applied && echo applied") == ""
        within(host, "again", "touch /run/go")
        until_done(host, "again")
        assert within(host, "again", "gpudock-users applied && echo applied") == "applied\n"
        within(host, "again", "rm /run/held /run/go")
        host.sh("docker kill again; docker start again")


def test_users_asked_for_while_the_container_starts_are_made_when_it_has_a_user(host: TestHost) -> None:
    """Who applies them in the middle of a start waits for it."""
    begin(host, "early", f"{OPERATOR} {held(host, 'useradd', 'ops')}")
    until(lambda: within(host, "early", "ls /run/held") == "/run/held\n")
    within(host, "early", "(gpudock-users apply; echo code $?) >/tmp/said 2>&1 &")
    until(lambda: "gpudock-users" in within(host, "early", "ps -C gpudock-users -o args="))
    within(host, "early", "touch /run/go")
    until(lambda: "code" in within(host, "early", "cat /tmp/said"))
    assert within(host, "early", "cat /tmp/said; id -un alice") == "code 0\nalice\n"


def test_a_network_folder_whose_server_is_gone_keeps_nobody_out(host: TestHost) -> None:
    """The greeting does without how much room there is, where that is not told."""
    host.write("/srv/df", "#!/bin/sh\nexec sleep 3600\n")
    host.sh("chmod 755 /srv/df")
    begin(host, "hanging", f"{OPERATOR} -v /srv/df:/usr/local/bin/df:ro -v homes:/home")
    until_done(host, "hanging")
    assert "environment  chatbot: Python 3.11" in within(host, "hanging", "timeout 300 gpudock-greeting")
