"""How people's own ssh gets to a host that `-H` and config/hosts.yml name, for the commands they are told to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import quote

import invoke

from gpudock.config import load_inventory
from gpudock.inventory import Entry


@dataclass(frozen=True)
class Way:
    """What ssh needs: `destination` as `gpu01` or `ssh://ops@192.0.2.11:2222`, and the `file` of `fab -S`.

    `address` is the destination's alone. `name` is what no other host is called: that of config/hosts.yml where the
    address is from there too, else the address, with its port if one is given. All are empty for this machine.
    """

    destination: str = ""
    address: str = ""
    file: str = ""
    name: str = ""

    @property
    def ssh(self) -> str:
        """The program, with the file it is to read."""
        return f"ssh -F {shlex.quote(self.file)}" if self.file else "ssh"

    @classmethod
    def to(cls, name: str, config: invoke.Config) -> Way:
        """The way to a host, with `config` from the command line."""
        entry = load_inventory().hosts.get(name, Entry())
        user, address, port = parts(entry.address or name)
        user, port = entry.user or user, entry.port or port
        destination = f"{user}@{address}" if user else address
        if port or ":" in address:
            whole = f"[{address}]" if ":" in address else address
            login = f"{quote(user, safe='')}@" if user else ""
            destination = f"ssh://{login}{whole}{f':{port}' if port else ''}"
        file = getattr(config, "_runtime_ssh_path", None) or ""
        known = name if entry.address else f"{address}-{port}" if port else address
        return cls(shlex.quote(destination), address, file, known)


def divided(name: str) -> tuple[str | None, str, int | None]:
    """User, address and port of `user@[2001:db8::1]:22`; any other form Fabric divides itself."""
    found = re.fullmatch(r"(?:([^@]+)@)?\[([0-9A-Fa-f:.]+(?:%\w+)?)\](?::(\d+))?", name)
    return (found[1], found[2], int(found[3] or 0) or None) if found else (None, name, None)


def parts(name: str) -> tuple[str | None, str, int | None]:
    """User, address and port of a name in any form."""
    from fabric.connection import derive_shorthand  # 230 ms, and there already where hosts are named

    user, address, port = divided(name)
    if address != name:
        return user, address, port
    found = derive_shorthand(name)
    return found["user"], found["host"], found["port"]
