"""image.check, image.diff and image.rollback, as far as they are pure."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gpudock.actions import Run, Write
from gpudock.answers import Answer
from gpudock.inside import check as inside_check
from gpudock.steps import check, difference, image, rollback
from gpudock.steps.build import build, previous
from gpudock.steps.inputs import fingerprint
from gpudock.steps.rollback import Former
from tests.conftest import Settle
from tests.golden.test_plans import DEBIAN, ENGINE, IMAGE, whys

HISTORY = """0 ENTRYPOINT ["/usr/local/sbin/gpudock-start"]
475100000 RUN |3 ENVIRONMENT=chatbot TORCH_LOCK= NOTEBOOK_LOCK=notebook /bin/sh -c sh /build/packages "$NOTEBOOK_LOCK" # buildkit
1000 COPY rootfs/ / # buildkit
291000000
"""


def answers(history: str = HISTORY, variables: str = "PATH=/bin\n") -> dict[str, Answer]:
    """What the engine tells of an image."""
    return {"history": Answer((), 0, history, ""), "variables": Answer((), 0, variables, "")}


def test_layers_are_told_by_size_and_by_what_made_them() -> None:
    """The largest first, without BuildKit's ornaments; the small ones and all in one row each."""
    assert [row[2].split("MB")[0].strip() for row in check.layers(answers())] == ["475.1", "291.0", "0.0", "766.1"]
    assert [row[2].split("MB")[1].strip() for row in check.layers(answers())] == [
        'RUN sh /build/packages "$NOTEBOOK_LOCK"', "the base", "2 small ones", "in all",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("RUN pip install -i https://me:geheim@index/simple x", True),
        ("RUN echo hf_abcdefghijklmnopqrstuvwxyz0123456789", True),
        ("ENV ROOT_PASSWORD=geheim", True),
        ("RUN echo 'root:x' && API_KEY=abcdefgh sh x", True),
        ("ENV TOKENIZERS_PARALLELISM=false", False),
        ("ENV JUPYTER_TOKEN_FILE=/run/secrets/token", False),
        ("RUN --mount=type=secret,id=pypi_index sh /build/packages", False),
    ],
)
def test_credentials_in_the_history_are_found_and_not_repeated(line: str, wrong: bool) -> None:
    """A password in an address, a token by its form, a variable by its name; only the place is told."""
    rows = check.credentials(answers(f"0 {line}\n"))
    assert (rows[0][1] == "wrong") is wrong
    assert not {"geheim", "abcdefgh"} & set(re.split(r"\W", str(rows)))


@pytest.mark.parametrize(
    ("built", "driver", "base", "status"),
    [
        ("13.0", "580.95.05", "13.0.3", "ok"), ("13.0", "570.10", "", "wrong"), ("12.6", "535.1", "12.6.3", "ok"),
        ("12.6", "580.1", "13.0.3", "wrong"), ("", "580.1", "", "wrong"), ("", "", "", "ok"),
    ],
)  # fmt: skip
def test_torch_fits_driver_and_base_or_not(built: str, driver: str, base: str, status: str) -> None:
    """CUDA 13 wants driver 580; base and torch have the same major; a CPU torch is wrong only where there is a GPU."""
    assert check.torch_row({"version": "2", "cuda": built}, driver, base)[1] == status


def test_every_name_of_a_group_is_looked_for(settle: Settle) -> None:
    """Names of the groups and of the operator's own list, without versions."""
    names = check.packages(settle("image.groups=[notebook]", "additions.pip=['six>=1.0']"), DEBIAN)
    assert {"jupyterlab", "scikit-learn", "six"} <= set(names)


@pytest.mark.parametrize(
    ("distribution", "names"), [("PyYAML", ["yaml"]), ("pytest", ["pytest"]), ("packaging", ["packaging"])]
)
def test_import_names_come_from_what_is_installed(distribution: str, names: list[str]) -> None:
    """The name that is the distribution's alone where there is one; private ones only where there are no others."""
    assert inside_check.import_names(importlib.metadata.distribution(distribution)) == names


def test_a_package_that_does_not_import_is_wrong() -> None:
    """One that is not installed too."""
    assert inside_check.imported("no-such-package") == ("no-such-package", "", "is not installed")
    assert inside_check.imported("packaging")[2] == ""
    assert inside_check.imports(["no-such-package", "packaging"])[-1] == (
        "imports", "wrong", "1 of 2 packages import",
    )  # fmt: skip


def test_a_difference_tells_added_changed_and_removed() -> None:
    """With additions of the operator's, what goes beyond the locks cannot be told and is left out."""
    installed, locked = {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}
    assert difference.compare(installed, locked, more=False) == [("b", "1", "2"), ("c", "1", "-"), ("d", "-", "1")]
    assert difference.compare(installed, locked, more=True) == [("b", "1", "2"), ("d", "-", "1")]


def test_locks_become_requirements_without_hashes(settle: Settle) -> None:
    """What pip's own parser reads: a name, a version, a marker."""
    lines = difference.locked_lines(settle("image.groups=[notebook]"), DEBIAN)
    assert any(line.startswith("jupyterlab==") for line in lines)
    assert not [line for line in lines if "hash" in line or line.endswith("\\")]


def test_a_build_keeps_what_it_replaces_under_a_name_of_its_own(settle: Settle) -> None:
    """Also where the image's name has a tag, or its registry a port."""
    assert previous("chatbot") == "chatbot:previous"
    assert previous("host:5000/chatbot") == "host:5000/chatbot:previous"
    assert previous("chatbot:1.2") == "chatbot:1.2-previous"
    run = build(settle(), ENGINE, "/x", "0")[-1]
    assert isinstance(run, Run)
    assert "cuda_container_chatbot:previous" in run.argv


@pytest.mark.parametrize("calls", range(5))
def test_a_rollback_that_is_cut_off_loses_no_image(tmp_path: Path, calls: int) -> None:
    """Wherever the host goes down between two calls to the engine, the same command again has the former image back."""
    names = tmp_path / "names"
    names.mkdir()
    (tmp_path / "docker").write_text(
        f"""#!/bin/sh
cd {names}; echo >>../calls; [ "$(wc -l <../calls)" -le "$CALLS" ] || {{ kill -KILL $PPID; exit; }}
case $1 in tag) cp "$2" "$3.new"; mv "$3.new" "$3" ;; *) rm "$3" ;; esac
"""
    )
    (tmp_path / "docker").chmod(0o755)
    for name, text in (("lab", "newer"), ("lab:previous", "former")):
        (names / name).write_text(text)
    for allowed in (calls, 9):
        if (names / "lab").read_text() != "former":
            environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(allowed)}
            (tmp_path / "calls").write_text("")
            subprocess.run(["sh", "-ec", rollback.SWAP, "sh", "lab", "lab:previous"], env=environ, check=False)
    assert (names / "lab").read_text() == "former"


def test_a_rollback_holds_setup_back_and_the_way_forth_lets_it_go(settle: Settle) -> None:
    """Back: setup is to leave it; forth, to what the settings say: setup may build again; there already: nothing."""
    settings = settle()
    wanted = fingerprint(settings, DEBIAN)
    new = replace(IMAGE, id="sha256:new", inputs=wanted)
    former = Former(new, "sha256:old", "other", "2026-01-01T10:00:00Z")
    plan = rollback.plan(settings, former, "sha256:old", running=False)
    assert whys(plan) == ["have setup leave this image as it is", "bring back the image of 2026-01-01 10:00, old"]
    assert isinstance(plan[0], Write)
    assert plan[0].text == f"{wanted}\n"
    forth = Former(replace(IMAGE, id="sha256:old", held=wanted), "sha256:new", wanted, "2026-01-02T10:00:00Z")
    assert whys(rollback.plan(settings, forth, "sha256:new", running=False))[0].startswith("let setup build again")
    assert rollback.plan(settings, forth, "sha256:old", running=True) == []


def test_setup_leaves_a_rolled_back_image_until_the_settings_change(settle: Settle) -> None:
    """Skipped with the reason; another setting builds; image.build itself builds and lets go."""
    held = replace(IMAGE, inputs="old", held=fingerprint(settle(), DEBIAN))
    assert "rolled back" in str(image.skip(settle(), held))
    assert image.skip(settle("image.python='3.13'"), held) is None
    assert whys(image.plan(settle(), held))[-1] == "let setup build again"
    assert image.skip(settle(), replace(held, inputs=held.held)) is None
