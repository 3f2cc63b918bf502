"""The settings' types. Their defaults and reasons are in config/default.yml, which is the reference."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gpudock.forms import (
    Account,
    Address,
    Binding,
    Line,
    Locale,
    Name,
    Package,
    Path,
    Port,
    Project,
    Python,
    Reference,
    Seconds,
    Section,
    Sha256,
    Text,
    Variable,
    Volume,
)
from gpudock.network import Mirrors, Network


class Gpu(Section, frozen=True):
    """Whether and how the container gets GPUs."""

    use: Literal["auto", "required", "off"]
    mode: Literal["auto", "runtime", "cdi", "gpus"]


class HostFolder(Section, frozen=True):
    """gpudock's own folders and files on each host."""

    state: Path
    lock: Path
    audit: Path


class Apt(Section, frozen=True):
    """Patience with other package managers."""

    lock_timeout: Seconds


class Engine(Section, frozen=True):
    """The Docker engine."""

    source: Literal["auto", "docker", "distribution"]
    add_user_to_group: bool
    stop_containers: bool


class Toolkit(Section, frozen=True):
    """The NVIDIA Container Toolkit."""

    source: Literal["github", "cuda"]
    cuda_repository: Annotated[str, Meta(pattern=r"^https?://[^@\s]+$")]
    cuda_fingerprint: Annotated[str, Meta(pattern=r"^[0-9A-F]{40}$")]
    channel: Literal["stable", "experimental"]
    version: Annotated[str, Meta(pattern=r"^(\d+\.\d+\.\d+([~-][\w.~-]+)?)?$", description="A version such as 1.20.0.")]
    minimum_version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    allow_vulnerable: bool
    hold: bool
    fingerprint: Annotated[str, Meta(pattern=r"^[0-9A-F]{40}$")]
    set_as_default: bool


class Family(Section, frozen=True):
    """A line of config/cuda.yml: what the image is made of for drivers from `driver` (a major version) on."""

    driver: Annotated[int, Meta(ge=1)]
    require: Text
    base: Text
    torch: Name
    python: Python
    aarch64: bool


class Miniforge(Section, frozen=True):
    """The installer of Miniforge: its release, and the SHA-256 of that release's file for each architecture."""

    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+-\d+$")]
    x86_64: Sha256
    aarch64: Sha256


class Image(Section, frozen=True):
    """The image."""

    name: Reference
    base: Literal["auto", "registry", "bootstrap", "base", "runtime", "devel"]
    registry_base: Annotated[str, Meta(pattern=r"^([a-z0-9][a-zA-Z0-9._/:@-]*)?$")]
    cuda: Name
    env: Literal["uv", "conda"]
    miniforge: Miniforge
    python: Python
    environment: Name
    groups: Annotated[tuple[Name, ...], Meta(min_length=1)]
    source: Literal["build", "push"]
    build_host: str
    push_stage: Annotated[int, Meta(ge=1, description="Megabytes, compressed, at least 1.")]


class Scripts(Section, frozen=True):
    """The operator's own scripts: files on the operator's machine, run in the order given."""

    build: tuple[Text, ...]
    first_start: tuple[Text, ...]
    start: tuple[Text, ...]
    login: tuple[Text, ...]


class Additions(Section, frozen=True):
    """What the operator adds to image and container."""

    apt: tuple[Package, ...]
    pip: tuple[Text, ...]
    pip_file: str
    scripts: Scripts


class Stack(Section, frozen=True):
    """The container."""

    name: Project
    bind_address: Address
    ports: tuple[Port | Binding, ...]
    volumes: tuple[Volume, ...]
    environment: dict[Variable, Line | int]
    shm_size: Annotated[str, Meta(pattern=r"^\d+ ?[kmgKMG]?[bB]?$", description="A size such as 16gb.")]
    restart: Literal["no", "always", "on-failure", "unless-stopped"]
    user: Literal["operator", "root"]
    timezone: Text
    locale: Locale
    wait: Seconds


class SshUser(Section, frozen=True):
    """Somebody besides the container's own user. A key is a file on the operator's machine, or the key itself."""

    keys: Annotated[tuple[Text, ...], Meta(min_length=1)]
    uid: Annotated[int, Meta(ge=1000, le=4294967293)] | None = None
    sudo: bool = False


class Ssh(Section, frozen=True):
    """sshd in the container."""

    enabled: bool
    port: Port
    passwords: bool
    password_file: str
    authorized_keys: Annotated[tuple[Text, ...], Meta(min_length=1)]
    users: dict[Account, SshUser]


class Jupyter(Section, frozen=True):
    """JupyterLab in the container."""

    enabled: bool
    port: Port
    directory: Path
    password_file: str


class Fleet(Section, frozen=True):
    """Many hosts at a time."""

    parallel: Annotated[int, Meta(ge=1, le=256)]
    connect_timeout: Seconds
    connect_attempts: Annotated[int, Meta(ge=1, le=10)]
    lost_after: Seconds
    command_timeout: Seconds


class Settings(Section, frozen=True):
    """All settings of one host, complete."""

    profile: Name
    gpu: Gpu
    mirror: Name
    mirrors: Mirrors
    network: Network
    host: HostFolder
    apt: Apt
    engine: Engine
    toolkit: Toolkit
    image: Image
    additions: Additions
    stack: Stack
    ssh: Ssh
    jupyter: Jupyter
    fleet: Fleet
