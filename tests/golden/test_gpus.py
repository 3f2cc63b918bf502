"""What nvidia-smi and docker stats print, as recorded on real machines, and the tables made of it.

The GPUs' values are from recordings on real cards, put into our columns' order: the GTX 1660 Ti of
github.com/TheTumultuousUnicornOfDarkness/CPU-X/issues/115, the RTX 2080 of github.com/Ricks-Lab/gpu-utils/issues/83
(csv, noheader, nounits), the A100 in MIG mode of influxdata/telegraf, plugins/inputs/nvidia_smi/testdata.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpudock.answers import Answer
from gpudock.report import columns
from gpudock.steps import gpus, usage
from gpudock.steps.gpus import Gpu
from gpudock.steps.usage import Usage

CONTAINER = "4f1c" * 16
RTX_2080 = "0, GPU-22b2c6ac-2d49-4863-197c-9c469071178a, 86, 5501, 7979, 45, 176.98, 200.00, GeForce RTX 2080\n"
A100 = "1, GPU-513536b6-7d19-9063-b049-1e69664bb298, [N/A], 50, 81920, 27, 67.03, 500.00, NVIDIA A100-SXM4-80GB\n"
USERS = (
    f"ops, {CONTAINER}, 4242, GPU-22b2c6ac-2d49-4863-197c-9c469071178a, 5310, /opt/envs/chatbot/bin/python\n"
    "root, -, 77, GPU-513536b6-7d19-9063-b049-1e69664bb298, [N/A], /opt/server, with a comma\n"
)
STATS = (
    f'{{"BlockIO":"0B / 0B","CPUPerc":"187.52%","Container":"{CONTAINER}","ID":"{CONTAINER}","MemPerc":"5.21%",'
    '"MemUsage":"1.226GiB / 23.54GiB","Name":"cuda_container_chatbot","NetIO":"1.2kB / 0B","PIDs":"31"}\n'
    '{"BlockIO":"0B / 0B","CPUPerc":"0.00%","Container":"b","ID":"b","MemPerc":"0.00%",'
    '"MemUsage":"396KiB / 23.54GiB","Name":"web","NetIO":"0B / 0B","PIDs":"1"}\n'
)


def test_a_gpus_row_is_read() -> None:
    """Each value lands in its field, as a number."""
    assert list(gpus.parse(RTX_2080)) == [
        Gpu(0, "GPU-22b2c6ac-2d49-4863-197c-9c469071178a", "GeForce RTX 2080", 86, 5501, 7979, 45, 176.98, 200)
    ]


def test_what_a_gpu_does_not_tell_is_not_zero() -> None:
    """In MIG mode there is no utilisation of the whole card, whatever words nvidia-smi has for it."""
    for word in ("[N/A]", "N/A", "[Not Supported]", "[Insufficient Permissions]", "[Unknown Error]"):
        (gpu,) = gpus.parse(A100.replace("[N/A]", word))
        assert (gpu.utilization, gpu.memory_used) == (None, 50)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.183\n",
        "No devices were found\n",
    ],
)
def test_what_is_no_row_is_no_gpu(text: str) -> None:
    """A driver that does not answer says so in prose."""
    assert list(gpus.parse(text)) == []
    assert gpus.read(Answer(gpus.GPUS, 9, RTX_2080, "")) == ()


def test_many_gpus_fit_one_cell() -> None:
    """Same cards are counted, memory is added up, and the busiest tells the utilisation."""
    many = tuple(gpus.parse(RTX_2080 + A100))
    assert gpus.summary(many) == "2 x GeForce RTX 2080 + A100-SXM4-80GB, 5/88 GiB, 86 %"
    assert gpus.summary(many[1:] * 2) == "2 x A100-SXM4-80GB, 0/160 GiB"
    assert gpus.summary(()) == "-"


def test_processes_bear_their_containers_name() -> None:
    """A process's cgroup names the container's long id; Docker's list names the container."""
    look = Usage((), tuple(gpus.parse_users(USERS)), tuple(usage.loads(STATS)))
    assert [(user.pid, user.user, look.container(user), user.memory) for user in look.users] == [
        (4242, "ops", "cuda_container_chatbot", 5310),
        (77, "root", "", None),
    ]
    assert look.users[1].command == "/opt/server, with a comma"
    kubernetes = replace(look.users[0], container="ab" * 32)
    assert look.container(kubernetes) == "abababababab"


def test_sizes_are_bytes() -> None:
    """Docker prints binary units for memory."""
    assert usage.size("1.226GiB") == pytest.approx(1.226 * 2**30)
    assert (usage.size("396KiB"), usage.size("0B"), usage.size("--")) == (396 * 1024, 0, 0)


def test_top_lays_it_out() -> None:
    """GPUs, the processes on them, the containers, the busiest first."""
    look = Usage(tuple(gpus.parse(RTX_2080 + A100)), tuple(gpus.parse_users(USERS)), tuple(usage.loads(STATS)))
    assert (
        "\n\n".join(map(columns, usage.tables(look)))
        == """\
gpu  name              util  memory         temp   power
0    GeForce RTX 2080  86 %  5501/7979 MiB  45 °C  177/200 W
1    A100-SXM4-80GB    - %   50/81920 MiB   27 °C  67/500 W

gpu  pid   user  container               memory    command
0    4242  ops   cuda_container_chatbot  5310 MiB  /opt/envs/chatbot/bin/python
1    77    root  -                       - MiB     /opt/server, with a comma

container               cpu    memory        processes
cuda_container_chatbot  188 %  1.2/23.5 GiB  31
web                     0 %    0.0/23.5 GiB  1"""
    )


def test_a_host_with_nothing_shows_nothing() -> None:
    """Neither GPU nor engine is no error."""
    assert list(usage.tables(Usage((), (), ()))) == []
