"""Serves the folder it lies in at ports 80 and 443; runs on a machine with nothing but Python.

TLS is shaken hands over in the connection's own thread, so that a client that hangs holds up nobody.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Handler(http.server.SimpleHTTPRequestHandler):
    """Keeps connections alive: with HTTP/1.0 apt reports an unexpected eof."""

    protocol_version = "HTTP/1.1"
    timeout = 60


class SecureServer(http.server.ThreadingHTTPServer):
    """The same over TLS."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and end it in a way that TLS accepts."""
        assert isinstance(request, socket.socket)
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)
            with contextlib.suppress(OSError, ValueError):
                secured.unwrap()


if __name__ == "__main__":
    handler = functools.partial(Handler, directory=str(HERE / "served"))
    SecureServer.context.load_cert_chain(HERE / "certificate.pem")
    plain = http.server.ThreadingHTTPServer(("", 80), handler)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    SecureServer(("", 443), handler).serve_forever()
