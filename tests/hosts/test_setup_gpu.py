"""All of `setup` on a host with GPUs, as far as a container can have them: toolkit, image, stack and proof, once."""

from __future__ import annotations

import json

from tests.conftest import Fab, Hosts
from tests.hosts.nvidia import Repository, plug_in_gpu

PASSWORD = {"GPUDOCK_JUPYTER_PASSWORD": "correct horse"}


def test_a_second_setup_changes_nothing_and_has_the_proof_in_it(hosts: Hosts, fab: Fab, repository: Repository) -> None:
    """The container gets the GPUs by the runtime, computes are proved once, and the next run finds all of it as wanted."""
    host = hosts("trixie-docker")
    plug_in_gpu(host, count=2)
    words = ("setup", "--json", *repository.overrides)
    first = fab({"gpu01": (host, "ops")}, *words, environ=PASSWORD)
    assert first.code == 0, first.out + first.err
    rows = {row["step"]: row for row in map(json.loads, first.out.splitlines()) if "step" in row}
    assert {rows[f"toolkit.{step}"]["status"] for step in ("repo", "package", "configure", "restart")} == {"changed"}
    assert rows["gpu.prove"]["status"] == "changed"
    shown = "docker inspect -f '{{.HostConfig.Runtime}}' cuda_container_chatbot; docker exec cuda_container_chatbot nvidia-smi -L"
    assert host.sh(shown).splitlines()[0] == "nvidia"
    assert host.sh(shown).count("NVIDIA H100") == 2
    started = host.sh("docker inspect -f '{{.State.StartedAt}}' cuda_container_chatbot")
    again = fab({"gpu01": (host, "ops")}, *words, environ=PASSWORD)
    assert again.code == 0, again.out + again.err
    steps = {row["step"]: row["status"] for row in map(json.loads, again.out.splitlines()) if "step" in row}
    assert steps["gpu.prove"] == "ok"
    assert not {step: status for step, status in steps.items() if status not in ("ok", "skipped")}
    assert host.sh("docker inspect -f '{{.State.StartedAt}}' cuda_container_chatbot") == started
    checked = fab({"gpu01": (host, "ops")}, "gpu.check", "--json", *repository.overrides)
    facts = json.loads(checked.out.splitlines()[0])["facts"]
    assert (checked.code, [device["index"] for device in facts["devices"]], facts["problems"]) == (0, ["0", "1"], [])
