"""Programs of gpudock/inside, run in a throw-away container of an image: nothing of them stays, no network is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpudock.errors import ActionFailed
from gpudock.failures import next_move
from gpudock.host import Host
from gpudock.steps.engine import Engine

INSIDE = Path(__file__).parents[1] / "inside"

# A GPU is not asked for, so that an image can be looked at while others use them.
RUN = """client=$1 image=$2 python=$3
id=$("$client" run -d --rm --network none --init --tmpfs /etc/gpudock:mode=0755 -e NVIDIA_VISIBLE_DEVICES=void \\
  --entrypoint sleep "$image" 1800) || exit 1
trap '"$client" rm -f "$id" >/dev/null 2>&1' EXIT
"$client" exec -i "$id" sh -c "exec $python -\""""
ENVIRONMENT = '"/opt/envs/$ENVIRONMENT/bin/python"'
UV = "/opt/uv/bin/python"


def run(host: Host, engine: Engine, image: str, program: str, *arguments: Any, python: str = ENVIRONMENT) -> Any:
    """Run a program of gpudock/inside in a container of an image and return the object that it prints.

    Raises ActionFailed with its last words where it prints none.
    """
    called = f"\nmain(*json.loads({json.dumps(json.dumps(arguments))}))\n"
    source = (INSIDE / f"{program}.py").read_text() + called
    done = host.do(("sh", "-c", RUN, "sh", engine.client, image, python), data=source.encode())
    try:
        return json.loads(done.output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise ActionFailed(
            f"look into the image {image}", output=done.output, next_move=next_move(done.output)
        ) from None
