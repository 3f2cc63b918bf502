"""The Docker SDK over a host's own connection, with an engine that is newer than the SDK's version of the API."""

from __future__ import annotations

import sys
from pathlib import Path

import invoke
import pytest

from gpudock.errors import CannotTell
from gpudock.host import Host

# Docker 29.0 as far as it matters, behind `docker system dial-stdio`.
ENGINE = """#!{python}
import json, re, sys
line = sys.stdin.readline().split()
while sys.stdin.readline().strip():
    pass
version = re.match(r"/v1[.](\\d+)/", line[1])
code, body = 200, {{"Id": "1", "Name": "/lab", "State": {{"Status": "running"}}}}
if version and int(version[1]) < 44:
    code, body = 400, {{"message": f"client version 1.{{version[1]}} is too old. Minimum supported API version is 1.44"}}
elif "nobody" in line[1]:
    code, body = 404, {{"message": "No such container: nobody"}}
text = json.dumps(body)
sys.stdout.write(f"HTTP/1.1 {{code}} x\\r\\nContent-Type: application/json\\r\\nContent-Length: {{len(text)}}\\r\\n\\r\\n{{text}}")
"""


def test_an_engine_that_hangs_up_is_told_in_words(tmp_path: Path) -> None:
    """A daemon that ends in the middle is an error with the next move, and not one of the SDK's."""
    from gpudock import docker_api

    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\nread -r line\n")
    client.chmod(0o755)
    with (
        pytest.raises(CannotTell, match=r"here: the Docker engine did not do as asked.*systemctl status docker"),
        docker_api.container(Host(invoke.Context(), "here"), "lab", str(client)),
    ):
        pass


def test_an_engine_is_asked_in_its_own_version(tmp_path: Path) -> None:
    """Docker 29 refuses the API of 20.10, and 20.10 knows no newer one: containers are found on both."""
    from gpudock import docker_api

    client = tmp_path / "docker"
    client.write_text(ENGINE.format(python=sys.executable))
    client.chmod(0o755)
    here = Host(invoke.Context(), "here")
    with docker_api.container(here, "lab", str(client)) as container:
        assert (container.name, container.status) == ("lab", "running")
    with (
        pytest.raises(CannotTell, match="there is no container nobody"),
        docker_api.container(here, "nobody", str(client)),
    ):
        pass
