"""The network: names, mirrors, and a proxy that Docker knows too."""

from __future__ import annotations

from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps.doctor import asked, known
from gpudock.steps.doctor.rule import Rule, Seen


def _names(settings: Settings, answers: Answers) -> Seen | None:
    if _given(settings):
        return None  # names are its business
    rows = [line.split() for line in answers["network.names"].out.splitlines()]
    bad = sorted({row[0] for row in rows if len(row) == 2 and row[1] != "0"})
    if not bad:
        return None
    which = "no name resolves" if not any(row[1] == "0" for row in rows) else "does not resolve"
    return Seen(f"{which}: {known.listed(bad)}")


def _mirrors(settings: Settings, answers: Answers) -> Seen | None:
    bad = []
    for line in answers["network.reach"].out.splitlines():
        layer, address, code, _ = line.split()
        if not code.isdigit() or int(code) >= 500 or int(code) in (404, 410):
            said = f"HTTP {code}" if code.isdigit() else code.replace("_", " ")
            bad.append(f"mirrors.{layer} {address}: {said}")
    if bad and asked.plain(_given(settings)):
        return Seen(known.listed(sorted(bad), 3))
    if asked.layers(settings) and not all(map(asked.plain, [_given(settings), *asked.layers(settings).values()])):
        raise CannotTell("what needs a password to be tried is not put on a command line")
    if asked.layers(settings) and not answers["network.reach"].out:
        raise CannotTell("there is no curl on this host to try the mirrors with")
    return None


def _proxy(settings: Settings, answers: Answers) -> Seen | None:
    if not _given(settings):
        return None
    if answers["network.proxy"].not_found:
        raise CannotTell("there is no bash on this host to try the proxy with")
    if "silent" in answers["network.proxy"].out.split():
        return Seen(f"nothing answers at {_address(settings)}")
    return None


def _engine_proxy(settings: Settings, answers: Answers) -> Seen | None:
    if settings.network.through or not _given(settings):
        return None
    known.docker(answers)
    daemon = [line[7:] for line in answers["network.proxy"].out.splitlines() if line.startswith("daemon ")]
    return None if any(line.strip() for line in daemon) else Seen("the settings name a proxy, and dockerd uses none")


def _given(settings: Settings) -> str:
    return settings.network.https_proxy or settings.network.http_proxy


def _address(settings: Settings) -> str:
    return _given(settings).rpartition("//")[2].rpartition("@")[2]


RULES = (
    Rule(
        "names", "error", "names resolve: the first package source's and the mirrors'",
        "Nothing can be downloaded: `Temporary failure resolving`.",
        "resolvectl status; cat /etc/resolv.conf",
        "https://manpages.debian.org/stable/systemd-resolved/resolvectl.1.en.html",
        ("network.names",), _names,
    ),
    Rule(
        "mirror", "error", "the mirrors of the settings answer",
        "A step would wait for it, try again, and fail; a mirror can lack one tree and have the others.",
        "{gpudock} mirror.probe; {gpudock} setup --set mirror=auto   # or another address for that layer",
        "https://github.com/RubyMetric/chsrc",
        ("network.reach",), _mirrors,
    ),
    Rule(
        "proxy", "error", "the proxy of the settings answers",
        "Every download goes through it.",
        "{gpudock} config   # network.https_proxy",
        "https://docs.docker.com/engine/daemon/proxy/",
        ("network.proxy",), _proxy,
    ),
    Rule(
        "proxy-engine", "warning", "dockerd uses a proxy, where the settings name one",
        "dockerd pulls images by itself and does not see the settings' proxy: pulls time out.",
        "systemctl edit docker   # [Service] Environment=HTTPS_PROXY=…, then systemctl restart docker",
        "https://docs.docker.com/engine/daemon/proxy/",
        (*known.NEEDS_DOCKER, "network.proxy"), _engine_proxy,
    ),
)  # fmt: skip
