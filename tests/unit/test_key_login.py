"""A key behind a login: really fetched from a server that asks for one, by curl and by apt, and never in arguments."""

from __future__ import annotations

import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shlex import quote
from threading import Thread

import pytest

from gpudock.steps import login
from gpudock.steps.toolkit.key import FETCH

PASSWORD = 'pa"ss\\w%rd'
EXPECTED = b64encode(f"ops:{PASSWORD}".encode()).decode()


class Asking(BaseHTTPRequestHandler):
    """Serves one text to those who say the password."""

    def do_GET(self) -> None:
        """Answer 401 to the others."""
        known = self.headers.get("Authorization") == f"Basic {EXPECTED}"
        self.send_response(200 if known else 401)
        if not known:
            self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"key\n")

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror() -> Iterator[str]:
    """The address of such a server, without the login."""
    server = HTTPServer(("127.0.0.1", 0), Asking)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/tree"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("tool", ["curl", "apt"])
@pytest.mark.parametrize(("user", "served"), [("ops:pa%22ss%5Cw%25rd@", True), ("ops:wrong@", False), ("", False)])
def test_a_key_behind_a_login_is_fetched(mirror: str, tmp_path: Path, tool: str, user: str, served: bool) -> None:
    """With the right login alone; the arguments of the tool, which a stand-in notes, hold none of it."""
    real = {"curl": "/usr/bin/curl", "apt": "/usr/lib/apt/apt-helper"}[tool]
    if not Path(real).exists():
        pytest.skip(f"no {real} here")
    noting, notes = tmp_path / "tool", tmp_path / "notes"
    noting.write_text(f'#!/bin/sh\necho "$@" >>{notes}\nexec {real} "$@"\n')
    noting.chmod(0o755)
    hidden = "" if tool == "curl" else "command() { false; }; "
    script = FETCH.replace("/usr/lib/apt/apt-helper", str(noting)).replace("| curl", f"| {noting}")
    private = f"http://{user}{mirror}"
    words = [f"{login.public(private)}/gpgkey", login.curl_entry(private), login.apt_entry(private) or ""]
    text = f"export no_proxy=127.0.0.1; {hidden}set -- {' '.join(map(quote, words))}; {script}"
    out = subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False).stdout
    fetched = out.partition("\nfetched\n")[2]
    assert (b64decode(fetched) == b"key\n") is served, out
    assert "gpgkey" in notes.read_text()
    assert PASSWORD not in notes.read_text()
    assert "wrong" not in notes.read_text()
