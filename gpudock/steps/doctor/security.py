"""Who gets in: published ports, sshd and JupyterLab, the engine's own socket, SELinux."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps.doctor import known
from gpudock.steps.doctor.known import NEEDS_CONTAINERS, NEEDS_GPU
from gpudock.steps.doctor.rule import Rule, Seen

EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104
STRONG = ("argon2",)  # kinds of hashes that jupyter_server makes today
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")


def _public(container: Mapping[str, Any]) -> list[int]:
    return sorted({port for address, port in known.published(container) if address in EVERYWHERE})


def _published(settings: Settings, answers: Answers) -> Seen | None:
    found = {known.name(item): _public(item) for item in known.containers(answers) if _public(item)}
    if not found:
        return None
    text = "; ".join(f"{name}: {', '.join(map(str, listed))}" for name, listed in sorted(found.items()))
    if settings.stack.name in found:
        return Seen(text)
    return Seen(text, "docker run -p 127.0.0.1:PORT:PORT …   # not gpudock's: ask whose it is", "note")


def _engine_socket(settings: Settings, answers: Answers) -> Seen | None:
    if not answers["doctor.ss"].ok:
        raise CannotTell("there is no ss (iproute2) on this host")
    listeners = [line for line in answers["ports.listeners"].out.splitlines() if '"dockerd"' in line]
    words = answers["doctor.daemon-command"].out
    if not listeners or "--tlsverify" in words or '"tlsverify": true' in answers["doctor.daemon-json"].out:
        return None
    address = listeners[0].split()[3]
    local = address.startswith(("127.", "[::1]"))
    return Seen(f"dockerd listens on {address}, without TLS", severity="warning" if local else None)


def _mounted(settings: Settings, answers: Answers) -> Seen | None:
    hit = [
        container
        for container in known.containers(answers)
        if container["user"].partition(":")[0] in ("", "0", "root")
        and any(mount.get("Source") in SOCKETS for mount in container["mounts"])
    ]
    if not hit:
        return None
    mine = any(known.ours(settings, container) for container in hit)
    return Seen(
        f"root in {known.listed([known.name(item) for item in hit])} has the engine's socket, and so the host",
        "{gpudock} stack.up   # after taking it out of stack.volumes" if mine else "",
        "error" if mine else None,
    )


def _sshd(settings: Settings, answers: Answers) -> Seen | None:
    mine = [container for container in known.containers(answers) if known.ours(settings, container)]
    if not mine:
        return None
    answer = answers["doctor.inside"]
    if not answer.ok:
        raise CannotTell(f"{settings.stack.name} cannot be asked")
    told = dict(line.split(None, 1) for line in answer.out.splitlines() if " " in line)
    weak = []
    if told.get("permitemptypasswords") == "yes":
        weak.append("PermitEmptyPasswords yes")
    if told.get("passwordauthentication") == "yes" or known.environment(mine[0]).get("SSH_PASSWORDS") == "yes":
        weak.append("PasswordAuthentication yes")
        if told.get("permitrootlogin") == "yes":
            weak.append("PermitRootLogin yes")
    if not weak:
        return None
    open_to_all = settings.ssh.port in _public(mine[0])
    text = f"sshd in {settings.stack.name}: {', '.join(weak)}" + (", and its port is published" if open_to_all else "")
    return Seen(text, severity="error" if open_to_all or "PermitEmptyPasswords yes" in weak else None)


def _jupyter(settings: Settings, answers: Answers) -> Seen | None:
    rows = [line.split(" ", 1) for line in answers["doctor.jupyter"].out.splitlines()]
    told = {row[0]: row[1] if len(row) > 1 else "" for row in rows}
    emptied = [row[1] for row in rows if row[0] == "told" and row[1].endswith("=")]
    if emptied:
        return Seen(f"a Jupyter server in {settings.stack.name} runs with {emptied[0]}'' and asks for nothing")
    if "wanted" not in told:
        return None
    if "password" not in told and "token" not in told:
        return Seen("JupyterLab is switched on with neither a password nor a token, so that it does not start")
    if "password" in told and told["password"] not in STRONG:
        return Seen(f"JupyterLab's password is kept as {told['password']}, not argon2", severity="warning")
    if "password" not in told and int(told["token"] or 0) < 16:
        return Seen(f"JupyterLab's token has {told['token']} characters", severity="warning")
    return None


def _selinux(settings: Settings, answers: Answers) -> Seen | None:
    said = answers["doctor.selinux"].out
    if not known.has_gpu(answers) or "Enforcing" not in said:
        return None
    if "container_use_devices" not in said:
        raise CannotTell("SELinux enforces, and getsebool does not say what it lets containers do")
    return None if "--> on" in said else Seen("SELinux enforces, and container_use_devices is off")


RULES = (
    Rule(
        "published-openly", "warning", "ports are published on 127.0.0.1 alone",
        "Docker's published ports go past ufw and firewalld: whoever reaches the host reaches them.",
        "{gpudock} stack.up --set stack.bind_address=127.0.0.1   # and: ssh -N -L PORT:127.0.0.1:PORT HOST",
        "https://docs.docker.com/engine/network/packet-filtering-firewalls/",
        NEEDS_CONTAINERS, _published,
    ),
    Rule(
        "engine-socket", "error", "dockerd listens on no TCP port without TLS",
        "Whoever can connect is root on this host; such ports are searched for and found within hours.",
        "systemctl edit docker   # without -H tcp://…; use ssh:// instead",
        "https://docs.docker.com/engine/security/protect-access/",
        ("ports.listeners", "doctor.ss", "doctor.daemon-command", "doctor.daemon-json"), _engine_socket,
    ),
    Rule(
        "socket-mounted", "warning", "no container that runs as root has the engine's socket",
        "With it root in the container is root on the host.",
        "docker inspect NAME   # a proxy for the socket, or no mount",
        "https://docs.docker.com/engine/security/#docker-daemon-attack-surface",
        NEEDS_CONTAINERS, _mounted,
    ),
    Rule(
        "sshd-weak", "warning", "sshd in the container takes keys only",
        "Passwords are guessed; an error where the port is published to the network.",
        "{gpudock} stack.up --set ssh.passwords=false",
        "https://man.openbsd.org/sshd_config#PasswordAuthentication",
        (*NEEDS_CONTAINERS, "doctor.inside"), _sshd,
    ),
    Rule(
        "jupyter-open", "error", "JupyterLab asks for a password or a long token",
        "Whoever opens JupyterLab has a shell.",
        "{gpudock} jupyter.password jupyter.start",
        "https://jupyter-server.readthedocs.io/en/latest/operators/security.html",
        ("doctor.jupyter",), _jupyter,
    ),
    Rule(
        "selinux", "error", "SELinux lets containers use the GPU's devices",
        "Else nvidia-smi in a container says `Insufficient Permissions`.",
        "setsebool -P container_use_devices 1",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/33",
        (*NEEDS_GPU, "doctor.selinux"), _selinux,
    ),
)  # fmt: skip
