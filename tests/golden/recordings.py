"""What real hosts printed when they were in trouble, with where it was printed; and a host where all is well."""

from __future__ import annotations

import json
from collections.abc import Mapping

# NVIDIA/nvidia-container-toolkit#1227 (2025-08-07)
SMI_570 = """Mon Jul 14 16:25:58 2025
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.133.20             Driver Version: 570.133.20     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
"""
LIST_A10 = """GPU 0: NVIDIA A10 (UUID: GPU-f15ae561-21b1-6003-c768-861fc285203b)
GPU 1: NVIDIA A10 (UUID: GPU-466be1f8-6148-1a27-a450-592604f3df54)
"""
# in the form of the one below
LOADED_570 = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.133.20  Sun Mar 30 17:39:44 UTC 2025\n"

# zzzhouuu/truenas-nvidia-drivers#19 (2026-09-05)
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.178\n"
LOADED_580 = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.173.02  Tue Jun 23 08:38:17 UTC 2026\n"
    "GCC version:  gcc version 14.2.0 (Ubuntu 14.2.0-4ubuntu2~24.04.1)\n"
)
# nix-community/nixGL#186 (2024-12-26): the open module's words are others
LOADED_OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs-builder@U16-A24-9-2)  "
    "Thu Oct 10 12:15:00 UTC 2024\nGCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n"
)
# acidanthera/bugtracker#2237 (2023-03-06)
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
KEY_REJECTED = "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service\n"
# beclab/Olares#3963 (2026-08-17): nova_core on Ubuntu 26.04
NOVA = """[  201.910514] NVRM: GPU 0000:01:00.0 is already bound to NovaCore.
[  201.913648] NVRM: No NVIDIA devices probed.
"""
# NixOS/nixpkgs#334180 (2025-10-22)
XID_13 = "[  409.775718] NVRM: Xid (PCI:0000:01:00): 13, Graphics Exception: Shader Program Header 11 Error\n"
# NVIDIA/NVSentinel#155 (2025-10-25): with a Xid, and without
XID_79 = "[16246.461042] NVRM: Xid (PCI:0000:44:00): 79, GPU has fallen off the bus.\n"
FALLEN = """[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0
               NVRM: (PCI ID: 10de:26b5) installed in this system has
               NVRM: fallen off the bus and is not responding to commands.
"""
# data-infra/cube-studio#29 (2025-09-18), NVIDIA/gpu-operator#544 (2023-06-28)
FABRIC_FAILED = "failed\nnvidia-fabricmanager.service: Control process exited, code=exited, status=1/FAILURE\n"
FABRIC_OTHER = "failed\nFabric Manager version is : 530.30.02\n"
# An A100 with an instance, as printed in a container of Red Hat's DRA demonstration; the second GPU is made up.
LIST_MIG = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-ce5b3123-f4f2-6250-8428-40617e5f9b9d)
  MIG 3g.20gb     Device  0: (UUID: MIG-90155500-9a09-5016-9746-95ef09bd78a6)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-0000-0000-000000000001)
"""
QUERY_MIG = "0, NVIDIA A100-SXM4-40GB, Enabled\n1, NVIDIA A100-SXM4-40GB, {}\n"
# the nvidia/cuda:12.0.0-base-ubuntu22.04 Dockerfile, shortened (wordslab-org/wordslab, doc/infra/containers)
REQUIRE_12 = (
    "cuda>=12.0 brand=tesla,driver>=450,driver<451 brand=tesla,driver>=470,driver<471 "
    "brand=geforce,driver>=515,driver<516 brand=tesla,driver>=515,driver<516"
)
# NVIDIA/nvidia-container-toolkit#1376 (2025-10-23)
CDI_FAILED = (
    'unit failed\ntime="2025-10-23T10:22:21+08:00" level=error msg="invalid discovery mode: cdi"\n'
    "Failed to start nvidia-cdi-refresh.service - Refresh NVIDIA CDI specification file.\n"
)
SPEC = "spec /var/run/cdi/nvidia.yaml {} 0\nunit inactive\n"
A10 = "0000:17:00.0 0x030200 nvidia\n"
SWITCHES = A10 + "0000:c1:00.0 0x068000 nvidia-nvswitch\n"
INFO = json.dumps({"ServerVersion": "29.8.2", "Runtimes": {"runc": {}, "nvidia": {}}, "SecurityOptions": []})

ROOTLESS = json.dumps(
    {**json.loads(INFO), "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]}
)

# A host where all is well: an A10, driver 570, Docker, the toolkit, nothing running.
WELL: Mapping[str, str] = {
    "gpu.pci": A10,
    "gpu.smi": SMI_570,
    "gpu.list": LIST_A10,
    "gpu.query": "0, NVIDIA A10, [N/A]\n",
    "gpu.cuda": "0\n",
    "gpu.persistence": "active\nsocket\n",
    "gpu.fabric": "inactive\n",
    "driver.loaded": LOADED_570,
    "driver.module": "570.133.20\n",
    "driver.secure-boot": "SecureBoot disabled\nsigner: \n",
    "os-release": "ID=ubuntu\nVERSION_ID=24.04\n",
    "limits": "",
    "docker.daemon": "/usr/bin/dockerd\n",
    "docker.info": INFO,
    "ports.containers": "[]",
    "doctor.daemon-json": '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}',
    "doctor.packages": "nvidia-container-toolkit 1.20.0-1 installed\nlibnvidia-container1 1.20.0-1 installed\n"
    "docker-ce 5:29.8.2-1~ubuntu.24.04~noble installed\n",
    "doctor.runc": "runc version 1.3.6\n",
    "doctor.limits": "max_user_instances 128\nmax_user_watches 1048576\n",
    "doctor.cgroup": "cgroup2fs\n",
    "cdi.specs": SPEC.format("570.133.20"),
    "network.clock": "ahead 0\nNTPSynchronized=yes\nNTP=yes\n",
}
