"""The first layers of an image as images of their own, so that a push that broke off goes on where it was.

Docker throws the layers of a pull away that does not reach its end, whole ones too
(https://github.com/moby/moby/issues/26146, all versions with the overlay2 store). Layers of an image that is complete
stay. So an image is pulled in stages of image.push_stage MB: the image of its first layers, then of more, then all.
A stage's manifest and configuration are made here, as the OCI image specification has them, and put into the registry
by its API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from gpudock.forward import Dial

MANIFESTS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")

Json = Mapping[str, Any]


def cut(manifest: Json, configuration: Json, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield manifest and configuration of each stage: the image up to each layer that makes another `size` full.

    The last layer belongs to the image itself.
    """
    layers, gathered = manifest["layers"], 0
    for count, layer in enumerate(layers[:-1], start=1):
        gathered += layer["size"]
        if gathered < size:
            continue
        gathered = 0
        root = {**configuration["rootfs"], "diff_ids": configuration["rootfs"]["diff_ids"][:count]}
        smaller = _json({"architecture": configuration["architecture"], "os": configuration["os"], "rootfs": root})
        head = {**manifest["config"], "digest": digest(smaller), "size": len(smaller)}
        yield _json({**manifest, "config": head, "layers": layers[:count]}), smaller


def digest(data: bytes) -> str:
    """The name of content in a registry."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def size(manifest: Json) -> int:
    """The bytes of an image as they travel."""
    return sum(int(layer["size"]) for layer in manifest["layers"])


class Repository:
    """One repository of a registry, by the distribution API. Raises OSError where it does not do as asked."""

    def __init__(self, dial: Dial, name: str) -> None:
        self.dial, self.name = dial, name

    def publish_stages(self, whole: str, bytes_each: int) -> tuple[int, list[str]]:
        """Put the stages of the image with this digest beside it: its size in bytes, and the stages' digests.

        An image index, which is what an engine with the containerd store may send, has none: it is pulled at once.
        """
        manifest = json.loads(self._send("GET", f"manifests/{whole}", accept=", ".join(MANIFESTS)))
        if manifest.get("mediaType") not in MANIFESTS:
            return 0, []
        configuration = json.loads(self._send("GET", f"blobs/{manifest['config']['digest']}"))
        published = []
        for head, smaller in cut(manifest, configuration, bytes_each):
            self._upload(smaller)
            published.append(digest(head))
            self._send("PUT", f"manifests/{digest(head)}", head, kind=manifest["mediaType"])
        return size(manifest), published

    def _upload(self, data: bytes) -> None:
        place = urlsplit(self._ask("POST", f"/v2/{self.name}/blobs/uploads/")[0].getheader("Location", ""))
        self._ask("PUT", f"{place.path}?{place.query}&digest={digest(data)}", data)

    def _send(self, method: str, path: str, data: bytes = b"", *, kind: str = "", accept: str = "*/*") -> bytes:
        headers = {"Accept": accept, **({"Content-Type": kind} if kind else {})}
        return self._ask(method, f"/v2/{self.name}/{path}", data, headers)[1]

    def _ask(
        self, method: str, path: str, data: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("registry")
        connection.sock = self.dial()
        try:
            connection.request(method, path, data, dict(headers or {}))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise OSError(f"the registry says {answer.status} to {method} {path}: {body.decode(errors='replace')}")
        return answer, body


def _json(content: Json) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
