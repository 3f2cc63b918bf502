"""Faults of running containers: of the stack's own name, and of others'."""

from __future__ import annotations

from tests.hosts.faults.fault import RUNTIMES, Batch, Fault, once, program, without

NAME = "cuda_container_chatbot"
RUNTIME = '{"runtimes": {"nvidia": {"path": "runc"}}}'
SPEC = "containerEdits: {hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15}"

# An image of this host's own shell, sshd and an nvidia-smi that has lost its GPU, with sshd's weakest settings.
IMAGE = """tree=$(mktemp -d); mkdir -p $tree/etc/ssh $tree/run/sshd $tree/tmp $tree/usr/bin
programs="/bin/sh /bin/sleep /bin/cat /bin/grep /usr/sbin/sshd"
for one in $programs; do ldd $one | grep -o '/lib[^ ]*'; echo $one; done | sort -u | while read -r one; do
  mkdir -p $tree$(dirname $one); cp -L $one $tree$one; done
ssh-keygen -q -t ed25519 -N '' -f $tree/etc/ssh/ssh_host_ed25519_key
printf 'PermitRootLogin yes\\nPasswordAuthentication yes\\nPermitEmptyPasswords yes\\nPort 8022\\n' >$tree/etc/ssh/sshd_config
printf 'root:x:0:0::/root:/bin/sh\\nsshd:x:101:65534::/run/sshd:/bin/sh\\n' >$tree/etc/passwd
printf '#!/bin/sh\\necho "Failed to initialize NVML: Unknown Error"\\nexit 255\\n' >$tree/usr/bin/nvidia-smi
chmod 755 $tree/usr/bin/nvidia-smi; chmod 755 $tree
tar -C $tree -c . | docker import - weak >/dev/null; rm -r $tree"""
RUN = (
    f"docker run -d --name {NAME} --ulimit nofile=1024:1024 -p 8022:8022 -v /var/run/docker.sock:/var/run/docker.sock "
    "--health-cmd 'cat /missing' --health-interval 1s --health-retries 1 weak /bin/sleep 3600"
)
UNHEALTHY = once(f"docker inspect -f '{{{{.State.Health.Status}}}}' {NAME} | grep -q unhealthy")
# One that has lost its GPU, and two that cannot be asked: paused, and ended.
GPU_RUN = (
    "docker run -d --name trainer --runtime nvidia -v /run/lock:/run weak /bin/sleep 3600; "
    "docker run --name ended --runtime nvidia -v /run/lock:/run weak /bin/sh -c :; "
    "docker run -d --name paused --runtime nvidia weak /bin/sleep 3600; docker pause paused"
)

BATCH = Batch(
    "containers",
    (
        Fault(
            "gpu-lost",
            f"mkdir -p /etc/docker; echo '{RUNTIME}' >/etc/docker/daemon.json; systemctl reload docker; "
            f"{once(RUNTIMES)}; {GPU_RUN}",
            "docker rm -f trainer ended paused",
            "in trainer nvidia-smi says `Failed to initialize NVML: Unknown Error`, and on the host it works",
        ),
        Fault("run-mounted", ":", "", "trainer mounts over /run"),
        Fault(
            "container-unhealthy", f"{RUN}; {UNHEALTHY}", f"docker rm -f {NAME}", f"{NAME} is unhealthy: cat: /missing"
        ),
        Fault("shm-small", ":", "", "/dev/shm has 64 MB"),
        Fault("files-few", ":", "", f"a process in {NAME} may open 1024 files"),
        Fault("published-openly", ":", "", f"{NAME}: 8022"),
        Fault("socket-mounted", ":", "", f"root in {NAME} has the engine's socket"),
        Fault(
            "sshd-weak",
            ":",
            "",
            "PermitEmptyPasswords yes, PasswordAuthentication yes, PermitRootLogin yes, and its port",
        ),
        Fault("toolkit-missing", ":", "mv /usr/bin/nvidia-smi /usr/bin/nvidia-smi.away", "is not installed"),
        Fault(
            "selinux",
            program("getenforce", "echo Enforcing") + "\n" + program("getsebool", 'echo "$1 --> off"'),
            without("getenforce") + "; " + without("getsebool"),
            "container_use_devices is off",
        ),
        Fault(
            "cdi-stale",
            f"mkdir -p /etc/cdi; printf 'kind: nvidia.com/gpu\\ndevices:\\n- name: all\\n{SPEC}\\n' >/etc/cdi/nvidia.yaml",
            "rm /etc/cdi/nvidia.yaml",
            "/etc/cdi/nvidia.yaml is of driver 570.86.15, and 580.95.05 is loaded",
        ),
        Fault("cdi-off", ":", 'echo \'{"features": {"cdi": true}}\' >/etc/docker/daemon.json', "CDI is off until"),
    ),
    settings=("--set", "gpu.mode=cdi"),
    before=IMAGE,
    after="mv /usr/bin/nvidia-smi.away /usr/bin/nvidia-smi; rm -f /etc/docker/daemon.json; systemctl reload docker",
)
