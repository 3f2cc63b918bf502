"""A fresh machine: Debian 12 with Python and nothing else. A clone, one command, JupyterLab and SSH."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import Hosts
from tests.engine import docker
from tests.testbed import TestHost
from tests.waiting import until

ENVIRONMENT = {"GPUDOCK_JUPYTER_PASSWORD": "correct horse"}
LOGIN = """
import io, paramiko, sys
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", 8022, "root", key_filename="/root/a clone/.gpudock/id_ed25519", allow_agent=False)
print(client.exec_command(sys.argv[1])[1].read().decode())
"""
API = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8888/api').status)"


@pytest.fixture(scope="module")
def machine(hosts: Hosts, checkout: Path) -> TestHost:
    """The machine with a clone of the project in a folder with a space in its name."""
    host = hosts("fresh")
    docker("cp", str(checkout), f"{host.name}:/root/a clone")
    return host


def run(host: TestHost, *words: str) -> tuple[int, str]:
    """Run a program in the clone, as a user at the machine would."""
    options = [option for name, value in ENVIRONMENT.items() for option in ("-e", f"{name}={value}")]
    said = docker(
        "exec", *options, "-w", "/root/a clone", host.name, "sh", "-c", '"$@" 2>&1; echo "code $?"', "sh", *words
    )
    text, _, code = said.rstrip().rpartition("code ")
    return int(code), text


def test_setup_from_nothing(machine: TestHost) -> None:
    """`./inv setup` brings its own Python packages, an engine, the image with all packages, and both services."""
    code, said = run(machine, "./inv", "setup")
    assert code == 0, said
    assert "JupyterLab  http://127.0.0.1:8888/lab" in said
    assert "-p 8022 root@127.0.0.1" in said


def test_jupyter_and_ssh_work(machine: TestHost) -> None:
    """The address answers, and the key gpudock made opens a shell with the environment on PATH."""
    assert run(machine, ".venv/bin/python", "-c", API) == (0, "200\n")
    code, said = run(machine, ".venv/bin/python", "-c", LOGIN, "which python pip jupyter; nproc")
    assert code == 0, said
    assert "/opt/envs/chatbot/bin/python\n/opt/envs/chatbot/bin/pip\n/opt/envs/chatbot/bin/jupyter\n" in said


def test_every_package_of_the_default_groups_imports(machine: TestHost) -> None:
    """The documented list without torch is there and works."""
    modules = (
        "jupyterlab, matplotlib, numpy, pandas, yaml, sklearn, scipy, seaborn, tqdm, bs4, dashscope, fastapi, gradio, langchain, "
        "mdtex2html, mysql.connector, networkx, openai, pinecone, pydantic, pymilvus, pymysql, sse_starlette, tavily, tiktoken, uvicorn"
    )
    code, said = run(
        machine,
        "/usr/bin/docker",
        "exec",
        "cuda_container_chatbot",
        "python",
        "-W",
        "ignore",
        "-c",
        f"import {modules}",
    )
    assert code == 0, said


def test_a_second_run_changes_nothing(machine: TestHost) -> None:
    """All is found as wanted, and it says so in seconds."""
    started = time.monotonic()
    code, said = run(machine, "./inv", "setup")
    assert (code, "nothing to change" in said) == (0, True), said
    assert time.monotonic() - started < 15  # 0.5 usually
    assert run(machine, "./inv", "plan", "--check")[0] == 0


def test_after_a_crash_of_the_engine_setup_brings_all_back(machine: TestHost) -> None:
    """Without systemd nobody starts Docker again; setup does, and the services come back by themselves."""
    machine.sh("pkill -9 dockerd; pkill -9 containerd", check=False)
    until(lambda: not machine.sh("pgrep -x dockerd; pgrep -x containerd; :"))
    machine.sh("rm -f /var/run/docker.pid")
    code, said = run(machine, "./inv", "setup")
    assert code == 0, said
    assert run(machine, ".venv/bin/python", "-c", API) == (0, "200\n")


def test_a_single_step_works_alone(machine: TestHost) -> None:
    """Stopping and starting one service touches nothing else."""
    assert "switch jupyter off" in run(machine, "./inv", "jupyter.stop")[1]
    code, said = run(machine, "./inv", "jupyter.start", "ssh.start")
    assert code == 0, said
    assert "ssh.start: ok" in said


def test_teardown_leaves_the_machine_clean(machine: TestHost) -> None:
    """What gpudock brought up goes away again."""
    code, said = run(machine, "./inv", "teardown", "--volumes")
    assert code == 0, said
    assert "cuda_container_chatbot" not in machine.sh("docker ps -a; docker images; docker volume ls")
