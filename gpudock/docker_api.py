"""The Docker SDK over a host's own connection: `docker system dial-stdio` run where everything else runs.

So gateways, keys, passwords and sudo are those of the host, set once; the SDK's own `ssh://` opens a second,
differently configured connection (docker/transport/sshconn.py). The only importer of the SDK, which takes 300 ms:
import this module where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import urllib3
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.transport.basehttpadapter import BaseHTTPAdapter
from requests.exceptions import RequestException
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from gpudock.errors import CannotTell
from gpudock.host import Host

BASE_URL = "http://docker.host:2375"  # never dialled: the adapter below answers for it
VERSION = "1.41"  # of the API, by which the SDK goes; engines are asked for their own


class _Connection(HTTPConnection):
    def __init__(self, host: Host, client: str) -> None:
        super().__init__("docker.host")
        self.gpudock_host, self.client = host, client

    def connect(self) -> None:
        self.sock = self.gpudock_host.socket((self.client, "system", "dial-stdio"))


class _Pool(HTTPConnectionPool):
    def __init__(self, host: Host, client: str) -> None:
        super().__init__("docker.host", maxsize=4)
        self.gpudock_host, self.client = host, client

    def _new_conn(self) -> Any:
        return _Connection(self.gpudock_host, self.client)

    def _get_conn(self, timeout: float | None = None) -> Any:
        # urllib3 asks a pooled connection's fileno, which a paramiko channel pays for with a pipe each time
        # (docker/transport/sshconn.py has the same detour): a new stream costs less.
        return self._new_conn()


class _Adapter(BaseHTTPAdapter):
    def __init__(self, host: Host, client: str) -> None:
        self.pool = _Pool(host, client)
        super().__init__()

    def get_connection(self, url: str | bytes, proxies: Any = None) -> urllib3.HTTPConnectionPool:
        return self.pool

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        return self.pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """The path without a version: Docker 20.10 knows none above 1.41, 29.0 none below 1.44."""
        return str(request.path_url).removeprefix(f"/v{VERSION}")


@contextmanager
def engine(host: Host, client: str = "docker") -> Iterator[docker.DockerClient]:
    """Open the host's engine; `client` is the docker program that dials it. Raises CannotTell."""
    sdk = docker.DockerClient(base_url=BASE_URL, version=VERSION, timeout=60)
    sdk.api.mount(BASE_URL, _Adapter(host, client))
    try:
        yield sdk
    except APIError as error:
        raise CannotTell(f"{host.name}: the Docker engine refused: {error.explanation or error}") from None
    except (DockerException, RequestException) as error:
        raise CannotTell(
            f"{host.name}: the Docker engine did not do as asked: {error}. `systemctl status docker` there tells more."
        ) from None
    finally:
        sdk.close()


@contextmanager
def container(host: Host, name: str, client: str = "docker") -> Iterator[Container]:
    """Open one container by name. Raises CannotTell where there is none."""
    with engine(host, client) as sdk:
        try:
            yield sdk.containers.get(name)
        except NotFound:  # now, or while somebody looked at it
            raise CannotTell(f"{host.name}: there is no container {name}; stack.up, or setup, starts it.") from None
