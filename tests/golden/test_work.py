"""What counts as somebody's work in the container, and what is only its own, or a terminal that does nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpudock.actions import Watch
from gpudock.errors import Refused
from gpudock.host import Completed, Host
from gpudock.steps import work
from tests.conftest import Settle

# `ps` in a container of ours with two logins, VS Code and a notebook open; shortened.
IDLE = """\
root      2-03:00:11 /sbin/docker-init -- /usr/local/sbin/gpudock-start
root      2-03:00:11 runsvdir -P /run/service log: ..........
root      2-03:00:11 runsv jupyter
root      2-03:00:10 svlogd -tt /var/log/jupyter
root      2-03:00:10 sshd: /usr/sbin/sshd -D -e [listener] 0 of 10-100 startups
ops            12:01 sshd-session: ops@pts/0
ops            12:01 -bash
ops         01:12:01 /opt/envs/chatbot/bin/python /opt/envs/chatbot/bin/jupyter-lab --ip=0.0.0.0 --port=8888
ops         01:12:01 sh -c "$VSCODE_WD/node" -e 'x'
ops         01:12:01 /home/ops/.vscode-server/bin/0123/node /home/ops/.vscode-server/bin/0123/out/server-main.js
ops            00:00 [python] <defunct>
root           00:04 curl -fsS http://127.0.0.1:8888/api
root           00:21 timeout 30 nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
root           00:21 nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
root           00:00 ps -eww -o user:32=,etime=,args=
"""
WORK = """\
alice       03:12:11 python train.py --epochs 3
ops      2-00:10:00 /opt/envs/chatbot/bin/python -m ipykernel_launcher -f /home/ops/kernel-1.json
root           05:00 vllm serve /opt/ai/model
ops            00:10 python
"""


class Container(Host):
    """A host whose container lists these processes."""

    def __init__(self, code: int, listed: str) -> None:
        self.done = Completed(code, listed)

    def do(self, argv: Sequence[str], **_: object) -> Completed:
        """Answer a look into the container."""
        assert "docker exec" in argv[2]
        return self.done


def look(settle: Settle, host: Host, *, kernels: bool = False) -> None:
    """Do what is done before a stop."""
    (action,) = work.spare(settle(), "It would start anew", kernels=kernels)
    assert isinstance(action, Watch)
    action.apply(host, lambda line: None)


def test_services_editors_and_idle_terminals_are_no_work() -> None:
    """Nothing of these is lost with a restart; a REPL, a script, a server and a kernel are."""
    assert work.find(IDLE) == []
    assert [process.user for process in work.find(IDLE + WORK)] == ["alice", "ops", "root", "ops"]


def test_work_is_named_with_its_owner_and_the_way_out(settle: Settle) -> None:
    """What runs, whose, how long, and --yes; a kernel is called one."""
    with pytest.raises(Refused) as refused:
        look(settle, Container(0, IDLE + WORK))
    for said in (
        "python train.py --epochs 3 (alice, for 03:12:11)",
        "a notebook's kernel (ops, for 2-00:10:00)",
        "Nothing was stopped",
        "--yes",
    ):
        assert said in str(refused.value)
    look(settle, Container(0, IDLE))


def test_jupyter_alone_ends_nothing_but_kernels(settle: Settle) -> None:
    """A training beside it goes on."""
    look(settle, Container(0, WORK.splitlines()[0]), kernels=True)
    with pytest.raises(Refused, match="kernel"):
        look(settle, Container(0, WORK), kernels=True)


def test_what_cannot_be_told_is_not_taken_for_idle(settle: Settle) -> None:
    """A container that does not answer may be at work."""
    with pytest.raises(Refused, match="cannot be told: OCI runtime exec failed"):
        look(settle, Container(126, "OCI runtime exec failed\n"))


def test_consent_is_not_asked_again(settle: Settle) -> None:
    """--yes is engine.stop_containers."""
    assert work.spare(settle("engine.stop_containers=true"), "x") == []
