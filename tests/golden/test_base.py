"""The base image: which one, under which name, and from where."""

from __future__ import annotations

import pytest

from gpudock.steps import base
from gpudock.steps.machine import Machine
from tests.conftest import Settle
from tests.golden.test_image_plans import DEBIAN, NO_GPU, driven_by
from tests.golden.test_plans import ENGINE


@pytest.mark.parametrize(
    ("overrides", "machine", "reference", "tag"),
    [
        ((), NO_GPU, "debian:12-slim", "bookworm"),
        (("image.python='3.12'",), NO_GPU, "ubuntu:24.04", "noble"),
        (("image.base=registry",), NO_GPU, "debian:12-slim", "bookworm"),
        (("image.base=bootstrap",), DEBIAN, "debian:12-slim", "bootstrap-bookworm"),
        (
            ("image.base=base",),
            NO_GPU,
            "nvidia/cuda:13.0.3-base-ubuntu24.04",
            "nvidia-cuda-13.0.3-base-ubuntu24.04-bookworm",
        ),
        (
            ("image.base=devel",),
            DEBIAN,
            "nvidia/cuda:13.0.3-devel-ubuntu24.04",
            "nvidia-cuda-13.0.3-devel-ubuntu24.04-bookworm",
        ),
        (
            ("image.base=runtime",),
            driven_by("550.1"),
            "nvidia/cuda:12.6.3-runtime-ubuntu24.04",
            "nvidia-cuda-12.6.3-runtime-ubuntu24.04-bookworm",
        ),
        (
            (f"image.registry_base=r.example.com/own:1@sha256:{'a' * 64}",),
            DEBIAN,
            f"r.example.com/own:1@sha256:{'a' * 64}",
            "r.example.com-own-1-aaaaaaaaaaaa-bookworm",
        ),
    ],
)
def test_each_kind_of_base(
    settle: Settle, overrides: tuple[str, ...], machine: Machine, reference: str, tag: str
) -> None:
    """image.base and image.registry_base decide the reference; the local name tells the bases apart, digests too."""
    settings = settle(*overrides)
    assert base.reference(settings, machine) == reference
    assert base.tag(settings, machine) == f"gpudock/base:{tag}"


def test_nvidias_kinds_are_never_made_here(settle: Settle) -> None:
    """base, runtime and devel come from a registry or not at all; auto may make its base from packages."""
    whys = [[action.why for action in base.fetch(settle(f"image.base={kind}"), ENGINE, "/c", bootstrap=False)]
            for kind in ("devel", "registry", "auto")]  # fmt: skip
    assert [len(each) for each in whys] == [1, 1, 3]
    assert "mmdebstrap" in whys[2][1]


def test_a_registry_mirror_prefixes_the_reference(settle: Settle) -> None:
    """Official images get the library/ that a mirror's prefix form wants; the local name stays the same."""
    wanted = settle("mirrors.registry=m.example.com/docker.io")
    assert (
        base.mirrored(wanted, "nvidia/cuda:13.0.3-base-ubuntu24.04")
        == "m.example.com/docker.io/nvidia/cuda:13.0.3-base-ubuntu24.04"
    )
    assert base.mirrored(wanted, "debian:12-slim") == "m.example.com/docker.io/library/debian:12-slim"
    assert base.tag(wanted, DEBIAN) == base.tag(settle(), DEBIAN)
