"""An operator who adds something of every kind to image and container, and logins to it as all their users."""

from __future__ import annotations

import subprocess
from pathlib import Path

import fabric
import paramiko

from gpudock import own_key
from tests.testbed import TestHost

SCRIPTS = {
    "first.sh": 'echo "$GPUDOCK_USER" >>/opt/first\n',
    "start.sh": "#!/bin/bash\necho again >>/opt/start\n",
    "fails.sh": "echo the disk of the lab is away\nexit 7\n",
    "build.sh": "#!/bin/bash\nwhich tree && python -c 'import six' && echo built >/opt/built\n",
    "login.sh": "alias greet='echo hello from an alias'\nfalse\nexit 3\n",
}


def colleagues(folder: Path) -> Path:
    """Put the operator's scripts into a folder, and a key pair each for alice and bob."""
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
    for name in ("alice", "bob"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    own_key.public_key()
    return folder


def wanted(folder: Path, *, start: str = "start.sh", users: str = "alice, bob") -> list[str]:
    """The command line's settings."""
    known = {"alice": f"alice: {{keys: ['{folder}/alice.pub'], uid: 1501}}",
             "bob": f"bob: {{keys: ['{folder}/bob.pub'], sudo: true}}"}  # fmt: skip
    chosen = ", ".join(known[name] for name in users.split(", "))
    settings = {
        "additions.apt": "[tree]",
        "additions.pip": "[six]",
        "additions.scripts.build": f"['{folder}/build.sh']",
        "additions.scripts.first_start": f"['{folder}/first.sh']",
        "additions.scripts.start": f"['{folder}/{start}']",
        "additions.scripts.login": f"['{folder}/login.sh']",
        "ssh.authorized_keys": f"['{own_key.PUBLIC}']",
        "ssh.users": f"{{{chosen}}}",
        "ssh.passwords": "true",
        "stack.environment": "{MY_VALUE: a b}",
        "stack.timezone": "Asia/Shanghai",
        "stack.locale": "zh_CN.UTF-8",
        "stack.volumes": "['/opt/ai:/opt/ai', 'scratch:/scratch']",
    }
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def login(host: TestHost, user: str, *, key: Path | None = None, password: str | None = None) -> paramiko.SSHClient:
    """Sign in to the container through the server. Raises AuthenticationException."""
    gateway = fabric.Connection(
        host.address, user="ops", port=host.port, connect_kwargs={"key_filename": str(host.key)}
    )
    gateway.open()
    channel = gateway.transport.open_channel("direct-tcpip", ("127.0.0.1", 8022), ("127.0.0.1", 0))
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        "127.0.0.1", 8022, user, sock=channel, look_for_keys=False, allow_agent=False,
        password=password, key_filename=str(key) if key else None,
    )  # fmt: skip
    return client


def run(client: paramiko.SSHClient, command: str) -> str:
    """Run a command of an SSH session and return all that it prints."""
    _, out, err = client.exec_command(command)
    return out.read().decode() + err.read().decode()
