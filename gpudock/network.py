"""The settings of what is fetched: from which mirrors, and by which way out."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gpudock.forms import Mirror, Proxy, Section, Text, Through


class Mirrors(Section, frozen=True):
    """The address of each layer's mirror; an empty one means the layer's own default."""

    apt: Mirror = ""
    pypi: Mirror = ""
    python: Mirror = ""
    conda: Mirror = ""
    miniforge: Mirror = ""
    docker: Mirror = ""
    toolkit: Mirror = ""
    registry: str = ""
    huggingface: Mirror = ""
    modelscope: Mirror = ""


Addresses = str | Annotated[tuple[Text, ...], Meta(min_length=1)]


class Preset(Section, frozen=True):
    """A mirror preset: each layer's address, or several in the order of preference; empty for its own default."""

    apt: Addresses = ""
    pypi: Addresses = ""
    python: Addresses = ""
    conda: Addresses = ""
    miniforge: Addresses = ""
    docker: Addresses = ""
    toolkit: Addresses = ""
    registry: Addresses = ""
    huggingface: Addresses = ""
    modelscope: Addresses = ""


class Network(Section, frozen=True):
    """Proxies and the CA bundle, for downloads on the host and in the build."""

    http_proxy: Proxy
    https_proxy: Proxy
    no_proxy: str
    through: Through
    ca_bundle: str

    @property
    def environment(self) -> dict[str, str]:
        """The proxies as the environment variables of tools that download."""
        proxies = {"http_proxy": self.http_proxy, "https_proxy": self.https_proxy, "no_proxy": self.no_proxy}
        return {name: value for name, value in proxies.items() if value}
