"""Settings: layers, origins, and what wrong input gets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gpudock import layers
from gpudock.config import ROOT, SCHEMAS, describe, load, load_inventory, schema
from gpudock.errors import SettingsError, UsageError
from gpudock.inventory import ranges
from gpudock.layers import Layer, Value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project folder with the shipped settings and no others."""
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("local.yml"))
    return tmp_path


def fails(root: Path, *overrides: str, environ: dict[str, str] | None = None) -> str:
    """Return the message that loading ends with, which must be exit code 2."""
    with pytest.raises(SettingsError) as caught:
        load(overrides, environ=environ or {}, root=root)
    assert caught.value.code == 2
    return str(caught.value)


def test_defaults_are_complete_and_documented_ones(root: Path) -> None:
    """default.yml alone makes whole settings, with the document's names and ports."""
    settings = load(environ={}, root=root).settings
    assert (settings.stack.name, settings.image.name) == ("cuda_container_chatbot", "cuda_container_chatbot")
    assert (settings.ssh.port, settings.jupyter.port, settings.stack.ports) == (8022, 8888, (7680, 5280, 7990))
    assert (settings.image.environment, settings.image.python) == ("chatbot", "3.11")
    assert settings.stack.bind_address == "127.0.0.1"


def test_later_layers_win_and_tell_their_origin(root: Path) -> None:
    """local.yml, group, host, environment and --set win in this order, each named with its place."""
    (root / "config/local.yml").write_text("stack:\n  wait: 1\n")
    (root / "config/hosts.yml").write_text(
        "groups:\n  train: {hosts: ['gpu[01-02]'], settings: {stack: {wait: 2, locale: C}}}\n"
        "hosts:\n  gpu01: {settings: {stack: {wait: 3}}}\n"
    )
    assert load(environ={}, root=root).settings.stack.wait == 1
    assert load(environ={}, root=root, host="gpu02").settings.stack.wait == 2
    loaded = load(environ={}, root=root, host="gpu01")
    assert (loaded.settings.stack.wait, loaded.settings.stack.locale) == (3, "C")
    loaded = load(environ={"GPUDOCK_STACK__WAIT": "4"}, root=root, host="gpu01")
    assert (loaded.settings.stack.wait, loaded.origins["stack.wait"]) == (4, "the environment's GPUDOCK_STACK__WAIT")
    loaded = load(["stack.wait=5"], environ={"GPUDOCK_STACK__WAIT": "4"}, root=root)
    assert (loaded.settings.stack.wait, loaded.origins["stack.wait"]) == (5, "--set stack.wait")
    assert load(environ={}, root=root).origins["stack.wait"] == "config/local.yml:2"


def test_an_unknown_key_names_file_line_and_the_nearest(root: Path) -> None:
    """A misspelt key is refused with its place and what was probably meant."""
    (root / "config/local.yml").write_text("stack:\n  prots: [1]\n")
    message = fails(root)
    assert message.startswith("config/local.yml:2: stack.prots:")
    assert "Did you mean ports?" in message


def test_a_wrong_environment_variable_is_named(root: Path) -> None:
    """A variable with a misspelt key is an error that names the variable."""
    assert "GPUDOCK_STACK__NAMEX" in fails(root, environ={"GPUDOCK_STACK__NAMEX": "a"})


def test_secrets_variables_are_no_settings(root: Path) -> None:
    """GPUDOCK_JUPYTER_PASSWORD is a secret and no key of the settings."""
    load(environ={"GPUDOCK_JUPYTER_PASSWORD": "geheim"}, root=root)


def test_scalars_are_as_everybody_means_them(root: Path) -> None:
    """`off` is a word, 8022:22 no number, Python 3.10 not 3.1; a variable may be a number, as in a Compose file."""
    (root / "config/local.yml").write_text(
        "gpu: {use: off}\nimage: {python: 3.10}\nstack: {environment: {A: 8022:22, B: 'yes', OMP_NUM_THREADS: 8}}\n"
    )
    settings = load(environ={}, root=root).settings
    assert (settings.gpu.use, settings.image.python) == ("off", "3.10")
    assert settings.stack.environment == {"A": "8022:22", "B": "yes", "OMP_NUM_THREADS": 8}


def test_a_preset_fills_every_layer_and_single_ones_win(root: Path) -> None:
    """mirror=cn sets all addresses; one that is set by itself stays."""
    settings = load(["mirror=cn", "mirrors.pypi=https://example.com/simple"], environ={}, root=root).settings
    assert settings.mirrors.pypi == "https://example.com/simple"
    assert all(msgspec.to_builtins(settings.mirrors).values())


def test_passwords_in_addresses_are_hidden(root: Path) -> None:
    """`inv config` never shows the password of a proxy or mirror."""
    loaded = load(["network.https_proxy=http://me:geheim@proxy:3128"], environ={}, root=root)
    shown = {key: value for key, value, _ in describe(loaded)}
    assert shown["network.https_proxy"] == "http://me:•••@proxy:3128"


def test_every_setting_is_described_with_an_origin(root: Path) -> None:
    """`inv config` knows for each value where it was set."""
    rows = list(describe(load(environ={}, root=root)))
    assert len(rows) > 40
    assert not [
        key for key, _, origin in rows if not origin.startswith("config/default.yml") and not key.startswith("mirrors.")
    ]


def test_schemas_are_those_of_the_types() -> None:
    """The committed JSON Schemas are what the types generate, and default.yml fits its own."""
    for name, kind in SCHEMAS.items():
        assert json.loads((ROOT / "config" / name).read_text()) == schema(kind), f"run: inv schema, for {name}"
    defaults = layers.nest(layers.from_file(ROOT / "config/default.yml", "default.yml"))
    Draft202012Validator(schema()).validate(defaults)


def test_groups_and_ranges_are_written_out(root: Path) -> None:
    """-H takes names, ranges, groups and `all`; each host comes once."""
    (root / "config/hosts.yml").write_text("hosts: {db: {}}\ngroups:\n  train: {hosts: ['gpu[08-10]', db]}\n")
    inventory = load_inventory(root)
    assert inventory.expand("@train") == ["gpu08", "gpu09", "gpu10", "db"]
    assert inventory.expand("gpu[1-3],x") == ["gpu1", "gpu2", "gpu3", "x"]
    assert inventory.expand("all") == ["db", "gpu08", "gpu09", "gpu10"]
    with pytest.raises(UsageError, match="Did you mean train"):
        inventory.expand("@trian")


@pytest.mark.parametrize("selector", ["all", "@all", "", ",", "@none"])
def test_a_selector_of_no_host_is_an_error(root: Path, selector: str) -> None:
    """What was meant for servers never runs on this machine because a list came out empty."""
    (root / "config/hosts.yml").write_text("groups: {none: {hosts: []}}\n")
    with pytest.raises(UsageError, match="this names no host"):
        load_inventory(root).expand(selector)


@given(st.integers(0, 999), st.integers(0, 50), st.integers(1, 4))
def test_a_range_keeps_its_width(first: int, more: int, width: int) -> None:
    """A range has as many names as it spans, all as wide as its beginning at least."""
    names = ranges(f"n[{str(first).zfill(width)}-{first + more}]")
    assert len(names) == len(set(names)) == more + 1
    assert all(len(name) - 1 >= width for name in names)


KEYS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
LAYERS = st.dictionaries(KEYS, st.integers().map(lambda number: Value(number, "x")), max_size=5)


@given(LAYERS, LAYERS)
def test_the_later_layer_wins_and_the_rest_stays(lower: Layer, upper: Layer) -> None:
    """After a merge every value of the later layer is there, and each of the earlier one that it does not touch."""
    upper = layers.merge([upper])
    merged = layers.merge([lower, upper])
    assert all(merged[key] == value for key, value in upper.items())
    for key, value in layers.merge([lower]).items():
        touched = any(key[: len(other)] == other or other[: len(key)] == key for other in upper)
        assert touched or merged[key] == value


KEYS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
STACKS = st.lists(st.dictionaries(KEYS, st.sampled_from([1, 2]), max_size=5), max_size=4)


@given(STACKS)
def test_merging_is_as_defined(values: list[dict[tuple[str, ...], int]]) -> None:
    """However keys and sections replace each other, the result is that of looking at every pair of keys."""
    expected: dict[tuple[str, ...], int] = {}
    for layer in values:
        for key, value in layer.items():
            for known in list(expected):
                shorter = min(len(known), len(key))
                if known != key and known[:shorter] == key[:shorter]:
                    del expected[known]
            expected[key] = value
    merged = layers.merge([{key: Value(value, "") for key, value in layer.items()} for layer in values])
    assert {key: value.value for key, value in merged.items()} == expected


def test_files_are_found_from_where_they_are_named(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the project's folder in config/, from the current one on the command line; ~ is home, and a key no file."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("HOME", str(elsewhere))
    ours = (root / name for name in ("scripts/mount.sh", "wanted.txt", "keys/me.pub", "amy.pub"))
    for path in (*ours, *(elsewhere / name for name in ("here.sh", "bob.pub", "eve.pub"))):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (root / "config/local.yml").write_text(
        "additions: {pip_file: wanted.txt, scripts: {start: [scripts/mount.sh]}}\n"
        "ssh: {authorized_keys: [keys/me.pub], users: {bob: {keys: [~/bob.pub, ssh-ed25519 AAAA bob@host]}}}\n"
    )
    (root / "config/hosts.yml").write_text("hosts: {gpu01: {settings: {ssh: {users: {amy: {keys: [amy.pub]}}}}}}\n")
    monkeypatch.chdir(elsewhere)
    given = {"GPUDOCK_ADDITIONS__SCRIPTS__BUILD": "[here.sh]"}
    settings = load(["ssh.users.eve={keys: [eve.pub]}"], environ=given, root=root, host="gpu01").settings
    assert settings.additions.pip_file == str(root / "wanted.txt")
    assert settings.additions.scripts.start == (str(root / "scripts/mount.sh"),)
    assert settings.additions.scripts.build == (str(elsewhere / "here.sh"),)
    assert settings.ssh.authorized_keys == (str(root / "keys/me.pub"),)
    assert settings.ssh.users["bob"].keys == (str(Path("~/bob.pub").expanduser()), "ssh-ed25519 AAAA bob@host")
    assert settings.ssh.users["amy"].keys == (str(root / "amy.pub"),)
    assert settings.ssh.users["eve"].keys == (str(elsewhere / "eve.pub"),)
    assert load(environ={}, root=root).settings.ssh.passwords is False
