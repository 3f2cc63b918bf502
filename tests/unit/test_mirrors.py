"""Mirrors by measurement, as far as they need no host."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gpudock import mirrors
from gpudock.config import load, presets
from gpudock.errors import SettingsError
from gpudock.json_report import JsonReport
from gpudock.measure import Choice, Measured
from gpudock.network import Mirrors, Preset
from gpudock.report import Report
from tests.conftest import Settle


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep answers in a folder of the test's own."""
    monkeypatch.setattr(mirrors, "ANSWERS", tmp_path / "mirrors")
    return tmp_path / "mirrors"


def measured(layer: str, **seconds: float) -> list[Measured]:
    """Choices of a layer by their addresses, with the seconds they took; 0 is one that did not answer."""
    return [Measured(Choice(layer, name, "x"), taken > 0, taken / 2, taken, 1e6) for name, taken in seconds.items()]


def test_the_fastest_is_taken_and_none_where_none_answers() -> None:
    """By the time for the same small file; a layer without an answer keeps its own default."""
    every = [*measured("pypi", a=2.0, b=0.5, c=0.0), *measured("apt", a=0.0, b=0.0)]
    assert mirrors.best(every, {}) == {"pypi": "b", "apt": ""}


def test_a_former_choice_stays_while_it_answers_well() -> None:
    """Left for one that is three times as fast, or when it is down; in the container's environment only when it is down."""
    assert mirrors.best(measured("pypi", a=1.0, b=0.5), {"pypi": "a"}) == {"pypi": "a"}
    assert mirrors.best(measured("pypi", a=2.0, b=0.5), {"pypi": "a"}) == {"pypi": "b"}
    assert mirrors.best(measured("pypi", a=0.0, b=0.5), {"pypi": "a"}) == {"pypi": "b"}
    assert mirrors.best(measured("huggingface", a=9.0, b=0.5), {"huggingface": "a"}) == {"huggingface": "a"}
    assert mirrors.best(measured("huggingface", a=0.0, b=0.5), {"huggingface": "a"}) == {"huggingface": "b"}


def test_every_layer_has_its_default_its_presets_and_what_is_set(settle: Settle) -> None:
    """Each once, whatever names it."""
    every = mirrors.choices(settle("mirror=cn", "mirrors.pypi=https://me@own/simple"))
    pypi = [choice.address for choice in every if choice.layer == "pypi"]
    assert pypi[0] == ""
    assert len(pypi) == len(set(pypi)) == 6
    assert pypi[-1] == "https://me@own/simple"
    assert {choice.layer for choice in every} == {"apt", "pypi", "python", "conda", "miniforge", "docker", "toolkit",
                                                  "registry", "huggingface", "modelscope"}  # fmt: skip


def test_auto_takes_what_was_measured_and_leaves_what_is_set(answers: Path) -> None:
    """For that host alone; without an answer nothing changes, and an old one is asked for again."""
    loaded = load(["mirror=auto", "mirrors.apt=https://own"], environ={})
    assert mirrors.applied(loaded, "gpu01").settings.mirrors.pypi == ""
    mirrors.remember("gpu01", {"pypi": "https://fast/simple", "apt": "https://other"})
    taken = mirrors.applied(loaded, "gpu01")
    assert (taken.settings.mirrors.pypi, taken.settings.mirrors.apt) == ("https://fast/simple", "https://own")
    assert taken.origins["mirrors.pypi"].startswith("mirror.probe, 20")
    assert mirrors.applied(loaded, "gpu02").settings.mirrors.pypi == ""
    assert mirrors.applied(load(["mirror=none"], environ={}), "gpu01").settings.mirrors.pypi == ""
    assert not mirrors.stale("gpu01")
    (answers / "gpu01.json").write_text(f'{{"time": {time.time() - 8 * 86400}, "chosen": {{}}}}')
    assert mirrors.stale("gpu01")
    assert mirrors.stale("gpu02")


def test_a_preset_may_have_several_addresses_and_be_ones_own(tmp_path: Path) -> None:
    """The first counts; config/mirrors.local.yml adds presets; a layer that is none is named."""
    config = tmp_path / "config"
    config.mkdir()
    for name in ("default.yml", "mirrors.yml"):
        (config / name).write_text((Path(__file__).parents[2] / "config" / name).read_text())
    (config / "mirrors.local.yml").write_text(
        "lab: {pypi: [https://one/simple, https://two/simple], apt: https://apt}\n"
    )
    assert presets(tmp_path)["lab"] == {"pypi": ("https://one/simple", "https://two/simple"), "apt": ("https://apt",)}
    loaded = load(["mirror=lab"], environ={}, root=tmp_path)
    assert (loaded.settings.mirrors.pypi, loaded.settings.mirrors.apt) == ("https://one/simple", "https://apt")
    assert loaded.origins["mirrors.pypi"] == "the preset lab, --set mirror"
    (config / "mirrors.local.yml").write_text("lab: {pip: https://one}\n")
    with pytest.raises(SettingsError, match="pip"):
        load(["mirror=lab"], environ={}, root=tmp_path)


def test_no_password_goes_where_docker_inspect_shows_it() -> None:
    """The endpoints for models are the container's environment."""
    with pytest.raises(SettingsError, match="docker inspect"):
        load(["mirrors.huggingface=https://me:geheim@hub"], environ={})


def test_no_password_of_an_address_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a tool or a file's diff holds: on both streams, for people and for machines."""
    Report().write("deb https://me:geheim@mirror/debian trixie main")
    JsonReport().say("gpu01", "x", {"url": "http://me:geheim@mirror"}, "")
    Report().complain("fetching http://:geheim@mirror failed")
    shown = capsys.readouterr()
    assert "geheim" not in shown.out + shown.err
    assert shown.out.count("me:•••@mirror") == 2


def test_presets_name_the_layers_that_mirrors_have() -> None:
    """A layer that is added to the one and forgotten in the other could not be chosen, or not be set."""
    assert Preset.__struct_fields__ == Mirrors.__struct_fields__
