"""1.1, 1.2 NVIDIA's key and repository, and the experimental channel: the plans for every package manager."""

from __future__ import annotations

from gpudock.actions import Action, Write, remove
from gpudock.errors import UsageError
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps import apt, login
from gpudock.steps.machine import Machine
from gpudock.steps.toolkit import cuda_repository, repository, rpm
from gpudock.steps.toolkit.facts import PACKAGES, Toolkit, remember
from gpudock.steps.toolkit.key import FetchKey
from gpudock.steps.toolkit.platform import need_supported


def plan_repository(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.1 Add NVIDIA's key and repository; other entries for it would make apt refuse both."""
    need_supported(toolkit.engine.machine)
    _need_source(settings, toolkit)
    actions = repository.switch_off(toolkit.others)
    if not toolkit.engine.machine.authorities and toolkit.manager == "apt":
        actions += apt.mend(settings, toolkit.engine.machine)
        actions.append(apt.update(settings, "fetch the package lists"))
        actions.append(apt.install(settings, "install TLS's authorities", "ca-certificates"))
    actions += _login(settings, toolkit)
    actions += _preferences(settings, toolkit)
    if toolkit.fingerprints != (fingerprint(settings),) or toolkit.key_mode != "644":
        actions += _key(settings, toolkit)
    if toolkit.manager == "zypper":
        actions += rpm.trust(fingerprint(settings), toolkit.trusted)
    text = _text(settings, toolkit, experimental=toolkit.experimental)
    if toolkit.source != text:
        actions.append(write("add NVIDIA's repository", toolkit, text))
    return [*remember(settings, toolkit), *actions] if actions else []


def plan_channel(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.2 Switch the experimental channel on or off as toolkit.channel says."""
    if toolkit.source is None:
        raise Blocked("toolkit.repo", "NVIDIA's repository is not set up.")
    _need_source(settings, toolkit)
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


def fingerprint(settings: Settings) -> str:
    """The fingerprint of the key that signs the chosen source."""
    return settings.toolkit.cuda_fingerprint if cuda_repository.chosen(settings) else settings.toolkit.fingerprint


def key_addresses(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """Where the key may come from; since its fingerprint is checked, a mirror is as good as NVIDIA."""
    if cuda_repository.chosen(settings):
        return (cuda_repository.key_address(settings, machine),)
    bases = dict.fromkeys([repository.address(settings), repository.REPOSITORY])
    return tuple(f"{base}/gpgkey" for base in bases)


def _key(settings: Settings, toolkit: Toolkit) -> list[Action]:
    path = repository.KEYRING if toolkit.manager == "apt" else rpm.KEY
    fetch = FetchKey(
        "fetch NVIDIA's key and check its fingerprint", path, fingerprint(settings),
        key_addresses(settings, toolkit.engine.machine), apt.environment(settings), armored=toolkit.manager != "apt",
    )  # fmt: skip
    return [fetch]


def _text(settings: Settings, toolkit: Toolkit, *, experimental: bool) -> str:
    if cuda_repository.chosen(settings):
        return cuda_repository.render(settings, toolkit.engine.machine, repository.KEYRING)
    if toolkit.manager == "apt":
        return repository.render(settings, experimental=experimental)
    return rpm.render(settings, toolkit.manager, experimental=experimental)


def _login(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Keep a mirror's login where root alone reads it: before the key is fetched, and before the source is there."""
    if toolkit.manager == "apt":
        return login.keep("NVIDIA", repository.LOGIN, login.apt_entry(repository.address(settings)), toolkit.login)
    text = rpm.zypper_login(settings) if toolkit.manager == "zypper" else None
    return login.keep("NVIDIA", rpm.ZYPPER_LOGIN, text, toolkit.login)


def _need_source(settings: Settings, toolkit: Toolkit) -> None:
    """Raise UsageError or Refused where the CUDA repository is chosen and cannot be the source."""
    if not cuda_repository.chosen(settings):
        return
    if toolkit.manager != "apt":
        raise UsageError(f"toolkit.source is cuda, which is for apt alone; {toolkit.manager} needs github.")
    cuda_repository.need_stable(settings)
    cuda_repository.need_no_other(settings, toolkit.engine.machine, toolkit.others)


def _preferences(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Before the list is there, so that no other program's apt sees the one without the other."""
    wanted, path = cuda_repository.preferences(settings, PACKAGES), cuda_repository.PREFERENCES
    if toolkit.preferences == wanted:
        return []
    if wanted is None:
        return [remove("remove apt's preferences for NVIDIA's CUDA repository", path)]
    why = "have apt take the toolkit alone from NVIDIA's CUDA repository"
    return [Write(why, path, wanted, toolkit.preferences)]
