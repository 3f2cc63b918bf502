"""What the image is made of: CUDA, groups, additions, by settings and driver; all of it pure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gpudock.config import ROOT, load_families
from gpudock.errors import CannotTell, Refused, SettingsError, UsageError
from gpudock.steps import base, build, inputs
from gpudock.steps.machine import Machine
from tests.conftest import Settle
from tests.golden.test_plans import ENGINE

DEBIAN = Machine("debian", "", "13", "trixie", "amd64", True, "580.95.05", "ops", 1234, 1234, False, True)
NO_GPU = replace(DEBIAN, driver="")


def driven_by(driver: str) -> Machine:
    """The host with another driver."""
    return replace(DEBIAN, driver=driver)


@pytest.mark.parametrize(
    ("driver", "reference", "torch", "require"),
    [
        ("595.10", "nvidia/cuda:13.0.3-base-ubuntu24.04", "torch", "cuda>=13.0"),
        ("580.65.06", "nvidia/cuda:13.0.3-base-ubuntu24.04", "torch", "cuda>=13.0"),
        ("579.99", "nvidia/cuda:12.8.1-base-ubuntu24.04", "torch-12.8", "cuda>=12.8"),
        ("570.86.15", "nvidia/cuda:12.8.1-base-ubuntu24.04", "torch-12.8", "cuda>=12.8"),
        ("535.129.03", "nvidia/cuda:12.6.3-base-ubuntu24.04", "torch-12.6", "cuda>=12.0"),
        ("525.60.13", "nvidia/cuda:12.6.3-base-ubuntu24.04", "torch-12.6", "cuda>=12.0"),
    ],
)
def test_the_driver_chooses_base_torch_and_floor(
    settle: Settle, driver: str, reference: str, torch: str, require: str
) -> None:
    """Each driver gets the newest CUDA that it runs, and the image asks no more of it than that family's floor."""
    machine = driven_by(driver)
    assert base.reference(settle(), machine) == reference
    assert inputs.locks(settle(), machine) == ("notebook", "app", torch, "llm")
    assert inputs.arguments(settle(), machine)["REQUIRE_CUDA"] == require


def test_a_driver_too_old_for_all_is_refused(settle: Settle) -> None:
    """Both versions are named, and what would work without a newer driver."""
    with pytest.raises(Refused, match=r"470\.82.*525 or newer.*--set gpu\.use=off"):
        inputs.arguments(settle(), driven_by("470.82"))
    assert inputs.locks(settle("gpu.use=off"), driven_by("470.82")) == ("notebook", "app")


def test_a_driver_that_says_an_error_is_told(settle: Settle) -> None:
    """nvidia-smi prints its errors where its answer should be."""
    with pytest.raises(CannotTell, match=r"says: NVIDIA-SMI has failed.*Run nvidia-smi"):
        inputs.arguments(settle(), driven_by("NVIDIA-SMI has failed"))


def test_a_driver_too_old_for_what_was_asked_is_refused(settle: Settle) -> None:
    """Both versions are named, and the choice that would work; an older CUDA than possible may be asked for."""
    with pytest.raises(Refused, match=r"535\.129\.03.*image\.cuda=cu130.*580 or newer.*--set image\.cuda=cu126"):
        inputs.arguments(settle("image.cuda=cu130"), driven_by("535.129.03"))
    assert inputs.locks(settle("image.cuda=cu126"), DEBIAN)[2] == "torch-12.6"
    with pytest.raises(UsageError, match=r"no cu131 .* Did you mean cu130"):
        inputs.arguments(settle("image.cuda=cu131"), DEBIAN)


def test_a_python_without_torch_is_refused(settle: Settle) -> None:
    """cu126's torch has no wheels for Python 3.14: said with the choice that works; without torch it is none's matter."""
    wanted = settle("image.python='3.14'")
    with pytest.raises(Refused, match=r"Python 3\.14.*driver 535.*image\.python='3\.13'.*580"):
        inputs.locks(wanted, driven_by("535.1"))
    assert inputs.locks(settle("image.python='3.14'", "image.groups=[notebook]"), driven_by("535.1")) == ("notebook",)


def test_a_machine_without_cuda_in_its_torch_is_refused(settle: Settle) -> None:
    """On aarch64 only the newest torch knows CUDA: nobody gets one for the CPU in its place without being told."""
    with pytest.raises(Refused, match=r"no wheels with CUDA for arm64.*580"):
        inputs.locks(settle(), replace(driven_by("570.1"), architecture="arm64"))
    assert "torch" in inputs.locks(settle(), replace(DEBIAN, architecture="arm64"))


def test_worlds_of_their_own_stay_alone(settle: Settle) -> None:
    """The documented packages go with no other group and for their Python and machine only; names are checked."""
    documented = settle("profile=documented")
    assert inputs.locks(documented, DEBIAN) == ("documented",)
    with pytest.raises(UsageError, match="leave out app"):
        inputs.locks(settle("profile=documented", "image.groups=[documented,app]"), DEBIAN)
    with pytest.raises(Refused, match=r"Python 3\.11 on amd64.*not for 3\.12"):
        inputs.locks(settle("profile=documented", "image.python='3.12'"), DEBIAN)
    with pytest.raises(Refused, match=r"gptq needs driver 580 or newer; this host has 550\.1"):
        inputs.locks(settle("image.groups=[gptq]"), driven_by("550.1"))
    with pytest.raises(UsageError, match=r"no notebok.*Did you mean notebook"):
        inputs.locks(settle("image.groups=[notebok]"), DEBIAN)
    with pytest.raises(Refused, match=r"image\.base=devel"):
        inputs.locks(settle("image.groups=[torch,flash-attn]"), DEBIAN)
    assert inputs.locks(settle("image.groups=[torch,flash-attn]", "image.base=devel"), DEBIAN) == (
        "torch",
        "flash-attn",
    )


def test_each_layer_is_told_its_own_lock(settle: Settle) -> None:
    """The torch for the driver goes to torch's layer, and what has no layer of its own to the last one, in its order."""

    def told(*overrides: str) -> dict[str, str]:
        wanted = inputs.arguments(settle(*overrides), driven_by("570.1"))
        return {name: value for name, value in wanted.items() if "_LOCK" in name}

    empty = {"TORCH_LOCK": "", "NOTEBOOK_LOCK": "", "LLM_LOCK": "", "APP_LOCK": "", "OTHER_LOCKS": ""}
    by_default = {"TORCH_LOCK": "torch-12.8", "NOTEBOOK_LOCK": "notebook", "LLM_LOCK": "llm", "APP_LOCK": "app"}
    assert told() == empty | by_default
    assert told("image.groups=[langchain-experimental,app,flash-attn]", "image.base=devel") == empty | {
        "APP_LOCK": "app",
        "OTHER_LOCKS": "langchain-experimental flash-attn",
    }


def test_the_documented_profile_is_the_documents_world(settle: Settle) -> None:
    """Its base, conda, Python 3.11; what is set on the command line still wins."""
    chosen = settle("profile=documented", "image.environment=mine")
    assert base.reference(chosen, DEBIAN) == "nvidia/cuda:12.3.2-devel-ubuntu20.04"
    wanted = inputs.arguments(chosen, DEBIAN)
    assert (wanted["MANAGER"], wanted["PYTHON"], wanted["ENVIRONMENT"]) == ("conda", "3.11", "mine")
    assert wanted["REQUIRE_CUDA"] == "cuda>=12.0"
    with pytest.raises(SettingsError, match=r"no documentd in config/profiles\.yml.*documented"):
        settle("profile=documentd")


def test_conda_is_pinned(settle: Settle) -> None:
    """Release and SHA-256 of Miniforge are inputs of the build where conda is asked for, and only there."""
    wanted = inputs.arguments(settle("image.env=conda"), DEBIAN)
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    for name in ("MINIFORGE_VERSION", "MINIFORGE_X86_64", "MINIFORGE_AARCH64"):
        assert f"ARG {name}={wanted[name]}\n" in dockerfile
        assert name not in inputs.arguments(settle(), DEBIAN)


def test_the_gpu_groups_come_with_a_gpu(settle: Settle) -> None:
    """Without a GPU no package brings CUDA along, unless asked for; llm cannot do without torch."""
    assert inputs.groups(settle(), DEBIAN) == ("notebook", "app", "torch", "llm")
    assert inputs.groups(settle(), NO_GPU) == ("notebook", "app")
    assert inputs.locks(settle("image.groups=[llm]"), NO_GPU) == ("llm", "torch")
    assert inputs.arguments(settle(), NO_GPU)["REQUIRE_CUDA"] == ""


def test_the_table_is_whole() -> None:
    """The newest comes first, every lock is there, and its torch is built for that CUDA's major version."""
    families = list(load_families().values())
    assert [family.driver for family in families] == sorted((family.driver for family in families), reverse=True)
    for name, family in load_families().items():
        lock = (ROOT / f"docker/requirements/{family.torch}.txt").read_text()
        assert "FLAVOUR" in family.base
        runtime = "cuda-toolkit" if name.startswith("cu13") else "nvidia-cuda-runtime-cu12"
        assert f"{name[2:4]}." in re.findall(rf"^{runtime}==(\S+)", lock, re.MULTILINE)[-1]
        if name.startswith("cu12"):
            assert re.findall(rf"^{runtime}==(\S+)", lock, re.MULTILINE)[-1].startswith(f"12.{name[-1]}.")


def test_the_build_tells_where_the_image_comes_from_and_no_secret(settle: Settle) -> None:
    """Version, base and lock are labels; mirrors with passwords are secrets by file, conda's only where it is used."""
    mirrors = ("mirrors.miniforge=https://me:geheim@one", "mirrors.conda=https://me:geheim@two")
    plan = build.build(settle("image.env=conda", *mirrors), ENGINE, "/folder", "wanted")
    assert [action.why for action in plan if "conda" in action.why or "miniforge" in action.why] == [
        "hand the build its miniforge_mirror", "hand the build its conda_mirror",
    ]  # fmt: skip
    assert not [action for action in plan if "geheim" in str(action.describe())]
    argv = plan[-1].describe()["argv"]
    assert "gpudock.inputs=wanted" in argv
    assert "org.opencontainers.image.base.name=nvidia/cuda:13.0.3-base-ubuntu24.04" in argv
    assert f"gpudock.lock={inputs.lock_hash(settle(), DEBIAN)}" in argv
    assert not [action for action in build.build(settle(*mirrors), ENGINE, "/folder", "") if "conda" in action.why]


def test_each_kind_of_addition_is_a_step_of_the_build(settle: Settle, tmp_path: Path) -> None:
    """Only those that are there; with packages of conda, which pip's have to know of, both go in one."""
    (tmp_path / "environment.yml").write_text("dependencies: [ffmpeg, {pip: [six]}]\n")
    (tmp_path / "build.sh").write_text("true\n")

    def kinds(*overrides: str) -> set[str]:
        wanted = inputs.arguments(settle(*overrides), NO_GPU)
        return {name for name, value in wanted.items() if name.startswith("YOUR_") and value == "yes"}

    assert kinds() == set()
    assert kinds("additions.pip=[six]", "additions.apt=[tree]") == {"YOUR_PIP", "YOUR_APT"}
    assert kinds(f"additions.scripts.build=[{tmp_path}/build.sh]") == {"YOUR_SCRIPTS"}
    given = (f"additions.pip_file={tmp_path}/environment.yml", "additions.pip=[idna]", "image.env=conda")
    assert kinds(*given) == {"YOUR_CONDA"}
