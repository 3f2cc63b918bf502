"""Docker's own registry (distribution) on the machine that has the image: started for a push, gone after it.

It listens on a loopback port that the kernel chooses, and ends when its standard input does, so also when the
operator's program is killed or the connection to it breaks. Its layers stay in `registry/` of gpudock's folder,
compressed: a second push compresses and stores only what is new. What no image there needs any more is thrown away
by the last one to leave; `teardown` takes all of it.

Debian's and Ubuntu's package docker-registry would start a service that everybody can reach, so where the program
is not there already, the package is fetched by apt, signature and all, and unpacked into that folder only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread

from gpudock.errors import ActionFailed, GpudockError
from gpudock.failures import next_move
from gpudock.host import Host, Line
from gpudock.settings import Settings
from gpudock.steps import apt

# https://distribution.github.io/distribution/about/configuration/
CONFIGURATION = """version: 0.1
log: {{accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/layers}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
"""
FIND = 'command -v docker-registry || command -v registry || ls "$1/usr/bin/docker-registry" 2>/dev/null'
FETCH = """folder=$1; command -v apt-get >/dev/null || { echo "there is no apt-get here"; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"; chmod 755 .
apt-get download docker-registry || { apt-get update; apt-get download docker-registry; }
mkdir -p "$folder"; dpkg-deb -x docker-registry_*.deb "$folder"
"""

# The shared lock tells others that somebody is here; the exclusive one, that nobody is.
SERVE = """program=$1 folder=$2; cd "$folder" || exit; exec 9>lock; flock -s 9
"$program" serve configuration.yml 9>&- & registry=$!
trap 'kill $registry 2>/dev/null' EXIT; cat >/dev/null; kill $registry; wait $registry
flock -xn 9 || exit 0; rm -rf layers/docker/registry/v2/repositories/*/_uploads  # of pushes that broke off
"$program" garbage-collect --delete-untagged configuration.yml >/dev/null 2>&1"""

LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Registry:
    """A registry's program and folder on a host."""

    host: Host
    settings: Settings

    @property
    def folder(self) -> str:
        """Where its layers are kept."""
        return f"{self.settings.host.state}/registry"

    @contextmanager
    def serving(self, on_line: Line) -> Iterator[int]:
        """Run it, fetched first where it is not there, and yield its loopback port. Raises ActionFailed."""
        program = self._program(on_line)
        written = self.host.write(f"{self.folder}/configuration.yml", CONFIGURATION.format(folder=self.folder).encode())
        if written.code:
            raise _failed("set the registry up", written.output)
        ports: Queue[int | str] = Queue()
        leave = Event()
        running = Thread(target=self._serve, args=(program, ports, leave), daemon=True)
        running.start()
        try:
            port = ports.get()
            if not isinstance(port, int):
                raise _failed("start the registry", port)
            yield port
        finally:
            leave.set()
            running.join(timeout=60)

    def _program(self, on_line: Line) -> str:
        unpacked = f"{self.folder}/program"
        find = ("sh", "-c", FIND, "sh", unpacked)
        if not (found := self.host.do(find).output.split()):
            on_line("fetching the package docker-registry")
            fetched = self.host.do(("sh", "-ec", FETCH, "sh", unpacked), environment=apt.environment(self.settings))
            found = self.host.do(find).output.split()
            if fetched.code or not found:
                raise ActionFailed(
                    f"get Docker's registry on {self.host.name}",
                    output=fetched.output,
                    next_move=f"Put the distribution's package docker-registry on {self.host.name}, or the program "
                    "`registry` of https://github.com/distribution/distribution on its PATH.",
                )
        return found[0]

    def _serve(self, program: str, ports: Queue[int | str], leave: Event) -> None:
        def until_told() -> Iterator[bytes]:
            leave.wait()
            yield b""

        def watch(text: str) -> None:
            if found := LISTENING.search(text):
                ports.put(int(found[1]))

        said = ""
        try:
            argv = ("sh", "-c", SERVE, "sh", program, self.folder)
            said = self.host.do(argv, data=until_told(), on_line=watch).output
        except GpudockError as error:
            said = str(error)
        finally:
            ports.put(said)


def _failed(doing: str, output: str) -> ActionFailed:
    return ActionFailed(doing, output=output, next_move=next_move(output))
