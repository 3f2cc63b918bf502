"""2. The image, built once and brought to every host over the SSH connection that is open anyway.

On the machine that built it (image.build_host, else the operator's) Docker's own registry runs for the while
(registry.py); each host's `docker pull` reaches it through a loopback port of its own, which SSH leads back
(forward.py). So hosts reach no registry, and pulling itself is Docker's: only the layers a host lacks, checked by
digest, several at a time, unpacked while the next arrive, tried again in the middle of a layer. Why this and not
`docker save` or an OCI layout with `docker load`:

- `save` packs all layers each time: one small layer changed, and 1 GB is written and read to find it out. Engine
  20.10 (Debian 12) writes Docker's own archive; 26.1 (Debian 13) writes an OCI layout, but loads none that has not
  Docker's manifest.json beside it (both tried), and neither saves only some layers.
- loopback registries need no TLS and no `insecure-registries`, so daemon.json stays as it is; both engines pull
  from one and push to one.
- what a pull lacks, to go on after a break in a later run, stages.py adds.

What a first push of 1 GB to four hosts costs, all on one machine of two cores, which it keeps busy to the end: 140 s
of processor time, as much as `save | load` by hand (136 s, on little more than one core): 38 s Docker's gzip, on one
core for each layer and once for all hosts, and 102 s the pulls, half of it the kernel's, for the files they make; of
the rest sshd has 0.8 s a host, the registry 3 s, our program with its four connections 4.5 s, so that another cipher
would win nothing. Docker has no switch for the gzip, and layers that did not come from `docker push` have no digest
that it knows: the next push would pack all of them again. Made without it (`docker save`, then ISA-L's igzip: 2 s
instead of 31) each push of a small change would begin with a `save` of the whole image, 7 s a GB where it now takes 2.
unpigz, which Docker takes where it is there, costs a host as much as its own gunzip. What helps is an image of several
large layers, as torch has three: Docker packs five at once.

The image is pulled by the digest that was pushed, so nobody with a login on a host, who can reach that port too, can
have it take another image. It ends up under its own name, with its label, so that `image.build` finds nothing to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from gpudock import forward
from gpudock.actions import Action
from gpudock.command import Job, command
from gpudock.host import Completed, Host, Line
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps import engine, image, source
from gpudock.steps.build import KEEP, previous
from gpudock.steps.image import Image
from gpudock.steps.inputs import fingerprint
from gpudock.steps.source import REPOSITORY, Source

# The dots are signs of life. The image that is replaced is kept for image.rollback, as after a build. The names of the
# way, also of pulls that broke off, go when the image has its own.
PULL = (
    KEEP
    + """client=$1 port=$2 repository=$3 name=$4 former=$5 whole=$6; shift 6; new=127.0.0.1:$port/$repository@$whole
(while sleep 2 >/dev/null 2>&1; do echo .; done) & beat=$!; trap 'kill $beat' EXIT
for digest in "$@" "$whole"; do "$client" pull "127.0.0.1:$port/$repository@$digest"; done
[ -z "$(id "$name")" ] || [ "$(id "$name")" = "$(id "$new")" ] || keep "$name"
"$client" tag "$new" "$name"
"$client" image ls --digests --filter "reference=127.0.0.1:*/$repository" --format '{{.Repository}}@{{.Digest}}' |
  xargs -r "$client" image rm >/dev/null"""
)


@dataclass(frozen=True)
class Ship(Action):
    """Pull the image from the machine that has it. `wanted` is the label it must bear."""

    settings: Settings
    client: str
    wanted: str
    arrived: list[int] = field(default_factory=list, compare=False, repr=False)  # bytes, as they come

    def apply(self, host: Host, on_line: Line) -> None:
        """Do it; the source is opened once for all hosts that need it."""
        with source.shared(host, self.settings, self.wanted, on_line) as found:
            self._pull(host, found, on_line)

    def describe(self) -> dict[str, Any]:
        """The action as data: where the image comes from and, when it is done, how much was sent."""
        return {"why": self.why, "from": self.settings.image.build_host or "localhost", "bytes": sum(self.arrived)}

    def _pull(self, host: Host, found: Source, on_line: Line) -> None:
        def tell(text: str) -> None:
            known = f" of at most {found.size / 1e6:.0f}" if found.size else ""
            on_line(f"{sum(self.arrived) / 1e6:.0f}{known} MB" if text == "." else text)

        with forward.listening(host.context, found.dial, self.arrived.append) as port:
            name = self.settings.image.name
            words = (self.client, str(port), REPOSITORY, name, previous(name), found.digest, *found.stages)
            done = host.do(("sh", "-ec", PULL, "sh", *words), on_line=tell)
        self._check(Completed(done.code, re.sub(r"(?m)^\.\n", "", done.output)))


def plan(settings: Settings, have: Image) -> list[Action]:
    """2.2 Bring the image from where it was built, if the host's is not made of the same."""
    engine.need(have.engine)
    wanted = fingerprint(settings, have.machine)
    if have.inputs == wanted:
        return []
    origin = settings.image.build_host or "the operator's machine"
    ship = Ship(f"fetch {settings.image.name} from {origin}", settings, have.engine.client, wanted)
    return [ship, *image.release(settings, have)]


def skip(settings: Settings, have: Image) -> str | None:
    """Leave it out of `setup` where each host builds its own, or what would be fetched was rolled back."""
    return image.rolled_back(settings, have) if settings.image.source == "push" else ""


@command(name="push", options={"from_": "The host that has the image; without it image.build_host, else this machine."})
def push(job: Job, from_: str = "") -> None:
    """2.2 Bring the image from the machine that built it, only the layers this host lacks."""
    chosen = msgspec.structs.replace(job.settings.image, build_host=from_ or job.settings.image.build_host)
    replace(job, settings=msgspec.structs.replace(job.settings, image=chosen)).converge(PUSH)


PUSH = Step("image.push", push.__doc__ or "", image.questions, image.read, plan, skip)
