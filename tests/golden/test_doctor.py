"""Rules that need a GPU, its driver or a kernel of their own: from what real hosts printed, with where it was printed.

Each rule has what it must find and what it must be silent about. All other rules are tested by faults made on a real
host: tests/hosts/test_doctor.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpudock.actions import Write
from gpudock.errors import CannotTell
from gpudock.steps.doctor import container, rules
from gpudock.steps.doctor.rule import examine
from tests.conftest import Settle
from tests.golden.doctor_answers import answers, say
from tests.golden.recordings import (
    CDI_FAILED,
    FABRIC_FAILED,
    FABRIC_OTHER,
    FALLEN,
    INFO,
    KEY_REJECTED,
    LIST_MIG,
    LOADED_580,
    LOADED_OPEN,
    MISMATCH,
    NO_DRIVER,
    NOVA,
    QUERY_MIG,
    REQUIRE_12,
    ROOTLESS,
    SPEC,
    SWITCHES,
    XID_13,
    XID_79,
)
from tests.hosts.faults import BATCHES


def test_a_well_host_gets_silence(settle: Settle) -> None:
    """Where everything is well each rule says so, and none `cannot tell`."""
    seen = examine(rules.RULES, settle(), answers(settle))
    assert ([finding.rule.id for finding in seen.findings], seen.unknown) == ([], ())
    assert len(seen.fine) == len(rules.RULES) == len({rule.id for rule in rules.RULES})


OLD_ENGINE = json.dumps({"ServerVersion": "26.1.5+dfsg1"})
DOCKER_IO = "docker.io 26.1.5+dfsg1-9 installed\n"
GONE: dict[str, Any] = {"gpu__smi": (9, NO_DRIVER), "driver__loaded": (1, ""), "gpu__cuda": (127, "")}
FOUND: list[tuple[str, dict[str, Any], str]] = [
    ("driver-missing", {**GONE, "gpu__pci": "0000:01:00.0 0x030000 \n"}, "1 NVIDIA GPU on the PCI bus (0000:01:00.0)"),
    ("driver-mismatch", {"gpu__smi": (18, MISMATCH), "driver__loaded": LOADED_580}, "driver 580.173.02, the libraries are of 580.178"),
    ("driver-mismatch", {"driver__module": "570.195.03\n"}, "the module on disk is 570.195.03"),
    ("driver-mismatch", {"driver__module": "570.195.03\n", "driver__loaded": LOADED_OPEN}, "runs driver 565.57.01"),
    ("driver-silent", {"gpu__smi": (6, "No devices were found\n")}, "nvidia-smi says: No devices were found"),
    ("driver-silent", {"gpu__smi": (124, "")}, "nvidia-smi hangs"),
    ("driver-silent", {"gpu__smi": (127, "sh: 1: nvidia-smi: not found\n")}, "there is no nvidia-smi"),
    ("gpu-taken", {**GONE, "gpu__pci": "0000:01:00.0 0x030000 nouveau\n"}, "is bound to nouveau"),
    ("gpu-taken", {**GONE, "gpu__pci": "0000:01:00.0 0x030000 \n", "gpu__kernel_log": NOVA}, "is bound to NovaCore"),
    ("gpu-taken", {"gpu__pci": "0000:01:00.0 0x030000 vfio-pci\n"}, "kept for a virtual machine"),
    ("secure-boot", {**GONE, "gpu__kernel_log": KEY_REJECTED}, "Key was rejected by service"),
    ("secure-boot", {**GONE, "driver__secure_boot": "SecureBoot enabled\nsigner: \n"}, "is not signed"),
    ("wsl-driver", {"driver__wsl": "wsl\nnvidia-driver-570 installed\n"}, "nvidia-driver-570"),
    ("gpu-xid", {"gpu__kernel_log": XID_13}, "logged 1 Xid since the start (13)"),
    ("gpu-xid", {"gpu__kernel_log": XID_13 + XID_79}, "(13, 79), last at 0000:44:00"),
    ("gpu-xid", {"gpu__kernel_log": FALLEN}, "fallen off the bus"),
    ("fabric-manager", {"gpu__pci": SWITCHES, "gpu__fabric": FABRIC_FAILED}, "1 NVSwitch here, and nvidia-fabricmanager is failed"),
    ("fabric-manager", {"gpu__pci": SWITCHES, "gpu__fabric": FABRIC_OTHER}, "Fabric Manager is 530.30.02, the driver 570.133.20"),
    ("fabric-manager", {"gpu__cuda": "802\n", "gpu__fabric": ""}, "CUDA says 802"),
    ("cuda-dead", {"gpu__cuda": "999\n"}, "cuInit returns 999 (unknown error)"),
    ("mig-empty", {"gpu__list": LIST_MIG, "gpu__query": QUERY_MIG.format("Enabled")}, "MIG is on for GPU 1"),
    ("persistence", {"gpu__persistence": "inactive\n"}, "nvidia-persistenced does not run"),
    ("persistence", {"gpu__persistence": "active\n"}, "socket is missing"),
    ("cgroup-library", {"doctor__packages": "libnvidia-container1 1.3.3-1 installed\n"}, "1.3.3-1 on a host with cgroup v2"),
    ("cdi-missing", {"cdi__specs": CDI_FAILED}, "nvidia-cdi-refresh failed"),
    ("cdi-stale", {"cdi__specs": SPEC.format("570.86.15")}, "is of driver 570.86.15, and 570.133.20 is loaded"),
    ("cdi-stale", {"gpu__list": LIST_MIG}, "names 0 MIG devices, and 1 are here"),
    ("docker-rootless", {"docker__info": ROOTLESS}, "which it may not"),
    ("inotify-low", {"doctor__limits": "max_user_instances 16\nmax_user_watches 8192\n"}, "max_user_watches is 8192"),
    ("docker-desktop", {"docker__info": json.dumps({**json.loads(INFO), "OperatingSystem": "Docker Desktop"})}, "virtual machine"),
    ("docker-cve", {"docker__info": json.dumps({"ServerVersion": "28.5.1"})}, "Docker 28.5.1 is older than 29.7.0"),
    (
        "docker-cve",
        {"docker__info": OLD_ENGINE, "doctor__packages": DOCKER_IO, "doctor__candidates": "docker.io 26.1.5+dfsg1-9 26.1.5+dfsg1-9+deb13u2\n"},
        "and the distribution has docker.io 26.1.5+dfsg1-9+deb13u2",
    ),
    ("docker-cve", {"docker__info": OLD_ENGINE, "doctor__packages": "moby-engine 26.1.5-1 installed\n"}, "which may have mended it"),
    ("runc-cve", {"doctor__runc": "runc version 1.2.5\n"}, "runc 1.2.5 is older than 1.2.8"),
    ("apt-key", {"apt__keys": "/usr/share/keyrings/n.gpg 600 1234 key\n"}, "apt's own user cannot read it"),
    ("apt-key", {"apt__keys": "/usr/share/keyrings/n.gpg missing\n"}, "is missing"),
    ("clock-off", {"network__reach": "apt http://m 200 -7200\n"}, "120 min behind that of the mirrors"),
    ("jupyter-open", {"doctor__jupyter": "wanted\npassword argon2\ntold --ServerApp.token=\n"}, "asks for nothing"),
    ("jupyter-open", {"doctor__jupyter": "wanted\npassword sha1\n"}, "kept as sha1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "changed", "text"), FOUND, ids=[f"{row[0]}-{number}" for number, row in enumerate(FOUND)]
)
def test_a_recorded_fault_is_found(settle: Settle, rule: str, changed: dict[str, Any], text: str) -> None:
    """What real hosts printed when they were in trouble is found, by its rule; the well host is silent above."""
    seen = say(settle, rule, **changed)
    assert seen is not None
    assert text in seen.text


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("gpu-taken", {"gpu__pci": "0000:01:00.1 0x040300 snd_hda_intel\n0000:01:00.0 0x030000 nvidia\n"}),
        ("driver-missing", {**GONE, "gpu__pci": "0000:01:00.1 0x040300 snd_hda_intel\n"}),
        ("mig-empty", {"gpu__list": LIST_MIG, "gpu__query": QUERY_MIG.format("Disabled")}),
        ("fabric-manager", {"gpu__pci": SWITCHES, "gpu__fabric": "active\nFabric Manager version is : 570.133.20\n"}),
        ("secure-boot", {"driver__secure_boot": "SecureBoot enabled\nsigner: DKMS module signing key\n"}),
        ("driver-mismatch", {"driver__module": (127, ""), "driver__loaded": LOADED_OPEN}),
        ("inotify-low", {"doctor__limits": "max_user_instances 128\nmax_user_watches 192536\n"}),
        ("runc-cve", {"doctor__runc": "runc version 1.5.0\n"}),
    ],
)
def test_what_looks_alike_and_is_well_is_silent(settle: Settle, rule: str, changed: dict[str, Any]) -> None:
    """An HDMI audio device is no GPU, MIG with instances is well, a signed module loads under Secure Boot."""
    assert say(settle, rule, **changed) is None


@pytest.mark.parametrize(
    ("rule", "changed", "reason"),
    [
        ("cuda-dead", {"gpu__cuda": (127, "")}, "python3 or libcuda"),
        ("engine-socket", {"doctor__ss": (127, "")}, "no ss"),
        ("cuda-dead", {"gpu__cuda": (124, "")}, "did not return"),
        ("gpu-xid", {"gpu__kernel_log": (1, "")}, "cannot be read"),
        ("docker-cve", {"docker__info": (1, '{"ServerErrors": ["no"]}')}, "Docker does not answer"),
        (
            "docker-cve",
            {
                "docker__info": OLD_ENGINE,
                "doctor__packages": DOCKER_IO,
                "doctor__candidates": "docker.io 26.1.5+dfsg1-9 26.1.5+dfsg1-9\n",
            },
            "the newest it has",
        ),
        ("selinux", {"doctor__selinux": (127, "Enforcing\n")}, "getsebool"),
        ("gpu-lost", {"doctor__container_gpus": "a|0|GPU 0\nb|124|\nc|1|Error response from daemon: gone\n"}, "in b$"),
    ],
)
def test_what_has_no_answer_is_not_fine(settle: Settle, rule: str, changed: dict[str, Any], reason: str) -> None:
    """A question without an answer is `cannot tell`, with the reason, never fine."""
    with pytest.raises(CannotTell, match=reason):
        say(settle, rule, **changed)


@pytest.mark.parametrize(
    ("requirement", "cuda", "driver", "brand", "holds"),
    [
        (REQUIRE_12, "12.8", "570.133.20", "", True),
        (REQUIRE_12, "11.4", "470.256.02", "tesla", True),
        (REQUIRE_12, "11.4", "470.256.02", "geforce", False),
        (REQUIRE_12, "11.8", "520.61.05", "tesla", False),
        ("cuda>=13.0", "12.8", "570.133.20", "", False),
        ("cuda>=13.0", "13.0", "580.95.05", "", True),
        ("cuda>=9", "12.8", "570.133.20", "", True),
    ],
)
def test_a_requirement_is_read_as_the_toolkit_reads_it(
    requirement: str, cuda: str, driver: str, brand: str, holds: bool
) -> None:
    """Spaces part alternatives, commas part conditions; versions compare as numbers, brands as words."""
    assert container.satisfied(requirement, {"cuda": cuda, "driver": driver, "brand": brand}) is holds


def test_an_image_newer_than_the_driver_is_found(settle: Settle) -> None:
    """The image's CUDA against the driver's, before any container starts."""
    image = json.dumps({"Config": {"Env": ["PATH=/bin", "NVIDIA_REQUIRE_CUDA=cuda>=13.0"]}})
    seen = say(settle, "cuda-newer", image=image)
    assert seen is not None
    assert seen.text == "cuda_container_chatbot asks for cuda>=13.0, and driver 570.133.20 brings CUDA 12.8"
    assert say(settle, "cuda-newer", image=image.replace("13.0", "12.4")) is None


def test_the_inotify_fix_never_lowers_a_limit(settle: Settle) -> None:
    """What is already higher than the fix would have it stays."""
    found = rules.rule("inotify-low")
    assert found.mend is not None
    given = answers(settle, doctor__limits="max_user_instances 16\nmax_user_watches 9999999\n")
    write = found.mend(settle(), given)[0]
    assert isinstance(write, Write)
    assert write.text == "fs.inotify.max_user_instances = 512\nfs.inotify.max_user_watches = 9999999\n"


def test_a_specification_of_ones_own_is_not_overwritten(settle: Settle) -> None:
    """/etc/cdi is somebody's own: doctor names it and leaves it."""
    found = rules.rule("cdi-stale")
    assert found.mend is not None
    assert found.mend(settle(), answers(settle, cdi__specs="spec /etc/cdi/nvidia.yaml 570.86.15 3\n")) == []
    assert found.mend(settle(), answers(settle, cdi__specs=SPEC.format("570.86.15")))


def test_a_proxy_that_docker_does_not_know_is_found(settle: Settle) -> None:
    """Dockerd pulls by itself: the settings' proxy does nothing for it until dockerd has one too."""
    proxied = "network.https_proxy=http://proxy.test:3128"
    seen = say(settle, "proxy-engine", proxied, network__proxy="listens\ndaemon \n")
    assert seen is not None
    assert "dockerd uses none" in seen.text
    assert say(settle, "proxy-engine", proxied, network__proxy="listens\ndaemon http://proxy.test:3128\n") is None
    assert say(settle, "proxy-engine", network__proxy="daemon \n") is None
    assert say(settle, "names", network__names="packages.test 2\n")
    assert say(settle, "names", proxied, network__names="packages.test 2\n") is None  # names are the proxy's business


# Tested by a test of their own: here above, or in tests/hosts/test_doctor.py.
OWN = {"gpu-required", "docker-missing", "cuda-newer", "proxy-engine"}


def test_each_rule_has_a_fault() -> None:
    """No rule without a fault that it finds, made on a host or recorded from one."""
    made = {fault.rule for batch in BATCHES.values() for fault in batch.faults}
    assert {rule.id for rule in rules.RULES} - made - {row[0] for row in FOUND} == OWN
