"""1.1, 1.2 NVIDIA's key and repository, and the experimental channel: the plans for every package manager."""

from __future__ import annotations

from gpudock.actions import Action, Write
from gpudock.converge import Blocked
from gpudock.settings import Settings
from gpudock.steps import apt, login
from gpudock.steps.toolkit import repository, rpm
from gpudock.steps.toolkit.facts import Toolkit, remember
from gpudock.steps.toolkit.key import FetchKey
from gpudock.steps.toolkit.platform import need_supported


def plan_repository(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.1 Add NVIDIA's key and repository; other entries for it would make apt refuse both."""
    need_supported(toolkit.engine.machine)
    actions = repository.switch_off(toolkit.others)
    if not toolkit.trusts and toolkit.manager == "apt":
        actions += apt.mend(settings, toolkit.engine.machine)
        actions.append(apt.update(settings, "fetch the package lists"))
        actions.append(apt.install(settings, "install TLS's authorities", "ca-certificates"))
    actions += _login(settings, toolkit)
    if toolkit.fingerprints != (settings.toolkit.fingerprint,) or toolkit.key_mode != "644":
        actions += _key(settings, toolkit)
    text = _text(settings, toolkit, experimental=toolkit.experimental)
    if toolkit.source != text:
        actions.append(write("add NVIDIA's repository", toolkit, text))
    return [*remember(settings, toolkit), *actions] if actions else []


def plan_channel(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.2 Switch the experimental channel on or off as toolkit.channel says."""
    if toolkit.source is None:
        raise Blocked("toolkit.repo", "NVIDIA's repository is not set up.")
    wanted = settings.toolkit.channel == "experimental"
    if toolkit.experimental == wanted:
        return []
    why = f"switch the experimental channel {'on' if wanted else 'off'}"
    return [write(why, toolkit, _text(settings, toolkit, experimental=wanted))]


def write(why: str, toolkit: Toolkit, text: str) -> Write:
    """Put the repository's file in place. With dnf and yum a mirror's login is in it: then root alone reads it."""
    private = rpm.private(text)
    secret = any(rpm.private(each) or "@" in each for each in (text, toolkit.source or ""))
    mode = 0o600 if private else 0o644
    return Write(why, toolkit.paths[1], text, toolkit.source, mode=mode, secret=secret)


def key_addresses(settings: Settings) -> tuple[str, ...]:
    """Where the key may come from; since its fingerprint is checked, a mirror is as good as NVIDIA."""
    bases = dict.fromkeys([repository.address(settings), repository.REPOSITORY])
    return tuple(f"{base}/gpgkey" for base in bases)


def _key(settings: Settings, toolkit: Toolkit) -> list[Action]:
    path = repository.KEYRING if toolkit.manager == "apt" else rpm.KEY
    fetch = FetchKey(
        "fetch NVIDIA's key and check its fingerprint", path, settings.toolkit.fingerprint, key_addresses(settings),
        apt.environment(settings), armored=toolkit.manager != "apt",
    )  # fmt: skip
    return [fetch] if toolkit.manager == "apt" else [fetch, rpm.trust()]


def _text(settings: Settings, toolkit: Toolkit, *, experimental: bool) -> str:
    if toolkit.manager == "apt":
        return repository.render(settings, experimental=experimental)
    return rpm.render(settings, toolkit.manager, experimental=experimental)


def _login(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Keep a mirror's login where root alone reads it: before the key is fetched, and before the source is there."""
    if toolkit.manager == "apt":
        return login.keep("NVIDIA", repository.LOGIN, login.apt_entry(repository.address(settings)), toolkit.login)
    text = rpm.zypper_login(settings) if toolkit.manager == "zypper" else None
    return login.keep("NVIDIA", rpm.ZYPPER_LOGIN, text, toolkit.login)
