"""image.push without a host: when it does something, when it is left out, and the stages it cuts an image into."""

from __future__ import annotations

import json
from dataclasses import replace

from gpudock.steps import image, push, stages
from gpudock.steps.inputs import fingerprint
from tests.conftest import Settle
from tests.golden.test_plans import DEBIAN, IMAGE

MB = 10**6
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 9, "digest": "sha256:c"},
    "layers": [{"size": size * MB, "digest": f"sha256:{size}"} for size in (100, 200, 10, 300, 1)],
}
CONFIGURATION = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Labels": {"gpudock.inputs": "x"}},
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{letter}" for letter in "abcde"]},
    "history": [{"created_by": "x"}],
}


def test_an_image_of_the_same_inputs_is_not_fetched(settle: Settle) -> None:
    """The label tells without asking the build host; another label, or none, is fetched from where the settings say."""
    have = replace(IMAGE, inputs=fingerprint(settle(), DEBIAN))
    assert push.plan(settle(), have) == []
    plan = push.plan(settle("image.build_host=gpu01"), IMAGE)
    assert [action.why for action in plan] == ["fetch cuda_container_chatbot from gpu01"]
    assert push.plan(settle(), IMAGE)[0].why == "fetch cuda_container_chatbot from the operator's machine"


def test_setup_builds_or_fetches_never_both(settle: Settle) -> None:
    """image.source leaves one of the two steps out of the chain."""
    assert (image.skip(settle(), IMAGE), push.skip(settle(), IMAGE)) == (None, "")
    pushed = settle("image.source=push")
    assert (image.skip(pushed, IMAGE), push.skip(pushed, IMAGE)) == ("image.source is push", None)


def test_what_was_rolled_back_is_not_fetched_by_setup(settle: Settle) -> None:
    """`setup` leaves a rolled-back host alone; image.push itself ends that."""
    pushed = settle("image.source=push")
    held = replace(IMAGE, held=fingerprint(pushed, DEBIAN))
    assert "rolled back" in (push.skip(pushed, held) or "")
    assert [action.why for action in push.plan(pushed, held)][1:] == ["let setup build again"]


def test_an_image_is_cut_where_enough_has_gathered() -> None:
    """A stage ends with the layer that fills it; the last layer belongs to the whole image."""
    cut = [(json.loads(head), json.loads(root)) for head, root in stages.cut(MANIFEST, CONFIGURATION, 256 * MB)]
    assert [[layer["digest"] for layer in head["layers"]] for head, _ in cut] == [
        ["sha256:100", "sha256:200"],
        ["sha256:100", "sha256:200", "sha256:10", "sha256:300"],
    ]
    assert [root["rootfs"]["diff_ids"][-1] for _, root in cut] == ["sha256:b", "sha256:d"]


def test_a_stage_names_its_own_configuration() -> None:
    """Docker checks the configuration's digest and size, and that it has as many layers as the manifest."""
    for head, root in stages.cut(MANIFEST, CONFIGURATION, 1):
        named = json.loads(head)["config"]
        assert (named["digest"], named["size"]) == (stages.digest(root), len(root))
        assert len(json.loads(head)["layers"]) == len(json.loads(root)["rootfs"]["diff_ids"])


def test_a_small_image_has_no_stages() -> None:
    """What fits into one stage is pulled at once."""
    assert list(stages.cut(MANIFEST, CONFIGURATION, 1000 * MB)) == []
    assert stages.size(MANIFEST) == 611 * MB
