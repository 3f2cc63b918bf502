"""A build's progress: what BuildKit says, as one line with step, time and size."""

from __future__ import annotations

from gpudock.steps.progress import Progress, failure

OUTPUT = """#5 [system 2/3] RUN --mount=type=bind,source=build/system,target=/build/system     sh /build/system
#5 sha256:8ef9c29a4dee3b2d7795b188b55e3674e143d7feef0e6bfc5fdf698e4c7b9ce8
#7 [image 1/2] RUN --mount=type=cache,target=/root/.cache     sh /build/packages "$APP_LOCK" after $TORCH_LOCK
#5 0.212 Get:1 bookworm InRelease [151 kB]
#7 0.9 Downloading numpy (15.5MiB)
#7 1.1 Downloading scipy (1.5GiB)
#7 2.020  + webencodings==0.6.1
#8 [image 2/2] COPY --chmod=0755 rootfs/ /
#10 [image 2/2] RUN --mount=type=secret,id=ca     sh /build/packages "notebook" after
#11 [image 2/2] RUN --mount=type=secret,id=ca     sh /build/packages "" after  notebook
#9 exporting layers
#12 [fetch 1/1] RUN --mount=type=secret,id=ca     sh /build/groups torch="" notebook="notebook"
image of 1234567890 bytes"""


def test_each_line_tells_step_time_and_size() -> None:
    """Lines of steps that run side by side are told apart, and what was fetched is added up."""
    seconds = [0.0]
    progress = Progress(lambda: seconds[0])
    told = []
    for line in OUTPUT.splitlines():
        told.append(progress.tell(line))
        seconds[0] += 1
    assert told[3] == "[system 2/3] system 3s: Get:1 bookworm InRelease [151 kB]"
    assert told[4] == "[image 1/2] packages APP_LOCK 2s, 16 MiB: Downloading numpy (15.5MiB)"
    assert told[6].startswith("[image 1/2] packages APP_LOCK 4s, 1552 MiB: ")
    assert told[7].startswith("[image 2/2] COPY rootfs/ ")
    assert told[8].startswith("[image 2/2] packages notebook 0s")
    assert told[9].startswith("[image 2/2] packages 0s")
    assert told[10].startswith("build ")
    assert told[11].startswith("[fetch 1/1] groups 0s")
    assert told[12] == "image of 1.23 GB"
    assert progress.tell("ERROR: failed to solve") == "ERROR: failed to solve"


def test_a_failure_is_told_in_the_steps_own_words() -> None:
    """BuildKit's frame around it, and what other steps said, is left out; output of another kind is kept whole."""
    framed = """#7 0.9 Hash mismatch for `tqdm`
#5 0.2 Get:1 bookworm
#7 1.0 and the rest
#7 ERROR: process "/bin/sh -c sh /build/packages" did not complete successfully: exit code: 1
------
Dockerfile:52
ERROR: failed to solve"""
    assert failure(framed) == "Hash mismatch for `tqdm`\nand the rest"
    assert failure("ERROR: no space left on device") == "ERROR: no space left on device"
