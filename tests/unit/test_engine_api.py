"""What is asked of the engine: many requests in one process, over curl and over Docker's own client."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import invoke
import pytest

from gpudock import engine_api, questions
from gpudock.host import Host
from gpudock.questions import after_engine, ask, engine, shell
from gpudock.steps import ports

LONG = "好" * 70_000  # many chunks, and letters that a chunk's end cuts


class Engine(BaseHTTPRequestHandler):
    """Answers as dockerd does: short ones with their length, long ones in chunks, and 404 with a message."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        self.send_response(404 if "none" in self.path else 200)
        if "long" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            data = json.dumps(LONG, ensure_ascii=False).encode()
            for piece in (data[start : start + 4096] for start in range(0, len(data), 4096)):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        body = json.dumps({"message": "No such image"} if "none" in self.path else {"Pid": 1, "x": self.path}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class Server(ThreadingMixIn, UnixStreamServer):
    """Counts its connections."""

    daemon_threads = True
    connections = 0

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept one."""
        self.connections += 1
        accepted, _ = super().get_request()
        return accepted, ("local", 0)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A stand-in for dockerd at a socket of its own."""
    path = str(tmp_path / "docker.sock")
    made = Server(path, Engine)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setattr(engine_api, "ASK", engine_api.ASK.replace(engine_api.SOCKET, path))
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def here() -> Host:
    """This machine."""
    return Host(invoke.Context(), "localhost")


@pytest.fixture
def without_curl(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No curl on PATH, and a docker client whose dial-stdio does what Docker's does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "rm", "mktemp", "mkfifo", "sleep", "sed", "id", "head"):
        real = next(path for part in os.environ["PATH"].split(":") if (path := Path(part) / name).exists())
        (folder / name).symlink_to(real)
    client = folder / "docker"
    client.write_text(
        '#!/bin/sh\n[ "$*" = "system dial-stdio" ] || exit 9\nexec ' + sys.executable + " -c '\n"
        "import os, socket, sys, threading\n"
        f'dialled = socket.socket(socket.AF_UNIX); dialled.connect("{server.server_address}")\n'
        "def send():\n"
        "    while data := os.read(0, 65536): dialled.sendall(data)\n"
        "    dialled.shutdown(socket.SHUT_WR)\n"
        "threading.Thread(target=send, daemon=True).start()\n"
        "while data := dialled.recv(65536): os.write(1, data)\n"
        "os._exit(0)'\n"
    )
    client.chmod(0o755)
    monkeypatch.setattr("gpudock.root.ENVIRONMENT", f"export LC_ALL=C PATH={folder}; ")


def check(here: Host, server: Server) -> None:
    """Five questions, two of them the same: right answers over one connection."""
    answers = ask(
        here,
        {
            "short": engine("/info"),
            "long": engine("/long"),
            "none": engine("/images/none/json"),
            "again": engine("/info"),
            "last": engine("/images/json?filters=%7B%22a%22%3A%5B%22b%22%5D%7D"),
            "beside": shell("echo beside"),
            "after": after_engine('sed -n "s/.*\\"Pid\\": \\([0-9]*\\),.*/pid \\1 $1/p" "$engine" | head -n 1', "x y"),
        },
    )
    assert answers["short"].json() == answers["again"].json() == {"Pid": 1, "x": "/info"}
    assert answers["long"].json() == LONG
    assert (answers["none"].ok, answers["none"].err) == (False, "No such image")
    assert answers["last"].json()["x"].endswith("filters=%7B%22a%22%3A%5B%22b%22%5D%7D")
    assert (answers["beside"].out, answers["after"].out) == ("beside\n", "pid 1 x y\n")
    assert server.connections == 1


def test_all_requests_are_one_curl(here: Host, server: Server) -> None:
    """Lengths, chunks and refusals are told apart, in one connection."""
    check(here, server)


def test_without_curl_they_are_one_docker_client(here: Host, server: Server, without_curl: None) -> None:
    """The same by `docker system dial-stdio`, whose input must not end before the last answer is there."""
    check(here, server)


def test_no_daemon_and_no_client_are_told_apart(here: Host, server: Server, without_curl: None) -> None:
    """A client that finds no daemon says so in its own words; without any, it is as a command that is not there."""
    server.shutdown()
    server.server_close()
    folder = Path(server.server_address).parent / "bin"  # type: ignore[arg-type]
    (folder / "docker").write_text(
        "#!/bin/sh\ncase $1 in version) echo Cannot connect to the Docker daemon >&2; esac; echo raw >&2; exit 1\n"
    )
    answer = ask(here, {"info": engine("/info")})["info"]
    assert (answer.code, answer.err) == (1, "Cannot connect to the Docker daemon\nraw\n")
    (folder / "docker").unlink()
    assert ask(here, {"info": engine("/info")})["info"].not_found


def test_an_engine_that_hangs_is_late_and_so_is_what_waits_for_it(
    here: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered before counts, the rest has the code of a time limit; other questions are answered."""
    hung = threading.Event()
    monkeypatch.setattr(questions, "TIME_LIMIT", 3)
    ordinary = Engine.do_GET
    monkeypatch.setattr(Engine, "do_GET", lambda self: hung.wait(600) if "hang" in self.path else ordinary(self))
    answers = ask(
        here,
        {
            "first": engine("/info"),
            "hangs": engine("/hang"),
            "never": engine("/info?never"),
            "after": after_engine("echo x"),
            "beside": shell("echo x"),
        },
    )
    hung.set()
    assert (answers["first"].ok, answers["beside"].ok) == (True, True)
    assert (answers["hangs"].timed_out, answers["never"].timed_out, answers["after"].timed_out) == (True, True, True)


def test_a_cut_response_is_none() -> None:
    """What ends in the middle, of head, body or chunk, is no answer; what came before it is."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    assert list(engine_api.read(whole + chunked + whole)) == [(200, "{}"), (200, "abcd"), (200, "{}")]
    for length in range(len(whole), len(whole) + len(chunked) - 2):
        assert list(engine_api.read((whole + chunked)[:length])) == [(200, "{}")]


def test_each_published_port_is_a_row_of_its_own(here: Host) -> None:
    """`docker ps` joins neighbours, 8000-8001, and hides them from who looks for one."""
    listed = [
        {"Names": ["/ended"], "State": "exited", "Ports": []},
        {
            "Names": ["/other/link", "/web"],
            "State": "running",
            "Ports": [
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8000, "Type": "tcp"},
                {"IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 8001, "Type": "tcp"},
                {"PrivatePort": 9, "Type": "tcp"},
            ],
        },
    ]
    answers = {"ports.containers": questions.Answer(("GET", "/containers/json"), 0, json.dumps(listed), "")}
    rows = ports.containers(answers)
    assert rows == ("web 0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp",)
    assert ports.holder_of(8001, ("ours",), rows, (), "127.0.0.1") == "the container web"
    assert ports.containers({"ports.containers": questions.Answer(("GET", "/containers/json"), 1, "", "no")}) == ()
