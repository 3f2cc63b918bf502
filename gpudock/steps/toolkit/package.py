"""1.3 The package and its three libraries: all at one version, at or above the security floor, held if asked."""

from __future__ import annotations

from gpudock.actions import Action, Run
from gpudock.errors import Refused
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps import apt
from gpudock.steps.gpu_mode import numbers
from gpudock.steps.toolkit import containers, record, repository, rpm, rpm_package
from gpudock.steps.toolkit.facts import PACKAGES, Toolkit, remember
from gpudock.steps.toolkit.platform import need_supported

# The newest of the channel, whatever other repositories and apt preferences offer; and what will come along with it is
# noted before it comes. Output of `apt-get -s`: "Inst name (version …" is new, "Inst name [old] (version …" is not.
INSTALL = """floor=$1 wanted=$2 channel=$3 folder=$4 lock=$5; shift 5
if [ -z "$wanted" ]; then
  wanted=$(apt-cache madison "$1" | awk -F' *[|] *' -v from="$channel" 'index($3, from) {print $2}' | sort -rV |
    head -n 1)
  [ -n "$wanted" ] || { echo "$channel has no $1 for this machine"; exit 1; }
  dpkg --compare-versions "$wanted" ge "$floor" || {
    echo "the newest $1 of $channel is $wanted, older than toolkit.minimum_version $floor: is the mirror stale?"
    exit 1; }
fi
apt="apt-get -y --no-install-recommends --allow-downgrades --allow-change-held-packages"
for name in "$@"; do set -- "$@" "$name=$wanted"; shift; done
mkdir -p -m 0755 "$folder"
$apt -s install "$@" >"$folder/simulated" || { cat "$folder/simulated"; exit 1; }
sed -n 's/^Inst \\([^ ]*\\) (.*/\\1/p' "$folder/simulated" >>"$folder/brought"; rm -f "$folder/simulated"
exec $apt -o DPkg::Lock::Timeout="$lock" -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \\
  -o Acquire::Retries=3 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 install "$@\""""


def plan(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Install the package, with its three libraries at the same version; hold or release them."""
    need_supported(toolkit.engine.machine)
    refuse_vulnerable(settings)
    if satisfied(settings, toolkit):
        return hold(settings, toolkit)
    if toolkit.source is None:
        raise Blocked("toolkit.repo", "NVIDIA's repository is not set up.")
    return [
        *remember(settings, toolkit),
        *containers.note(settings, toolkit),
        *install(settings, toolkit, "install the NVIDIA Container Toolkit"),
    ]


def install(settings: Settings, toolkit: Toolkit, why: str) -> list[Action]:
    """Fetch the repository's lists and install the version that the settings name, or the newest."""
    wanted = settings.toolkit.version and debian(settings.toolkit.version)
    if toolkit.manager != "apt":
        return [
            *rpm_package.single(toolkit.doubled),
            *rpm_package.release(toolkit.manager, toolkit.held),
            *rpm_package.install(settings, toolkit.manager, why, rpm.channels(toolkit.source), wanted, PACKAGES),
            *_hold_again(settings, toolkit),
        ]
    channel = repository.channel(settings)
    words = (settings.toolkit.minimum_version, wanted, channel, record.folder(settings), str(settings.apt.lock_timeout))
    return [
        *apt.mend(settings, toolkit.engine.machine),
        apt.update(settings, "fetch NVIDIA's package lists", repository.SOURCE),
        Run(why, ("sh", "-ec", INSTALL, "sh", *words, *PACKAGES), environment=apt.environment(settings)),
        *_hold_again(settings, toolkit),
    ]


def hold(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Have the four packages stay where they are, or be upgraded with the rest again, as toolkit.hold says."""
    if settings.toolkit.hold:
        return lock(toolkit.manager, tuple(name for name in PACKAGES if name not in toolkit.held))
    ours = tuple(name for name in toolkit.held if name not in toolkit.record.holds) if toolkit.record.made else ()
    return unlock(toolkit.manager, ours)


def lock(manager: str, packages: tuple[str, ...]) -> list[Action]:
    """Hold packages at the version they have."""
    if manager != "apt":
        return rpm_package.hold(manager, packages)
    return [Run("hold the toolkit's packages", ("apt-mark", "hold", *packages))] if packages else []


def unlock(manager: str, packages: tuple[str, ...]) -> list[Action]:
    """Hold packages no longer."""
    if manager != "apt":
        return rpm_package.release(manager, packages)
    return [Run("release the toolkit's packages", ("apt-mark", "unhold", *packages))] if packages else []


def _hold_again(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """A hold goes with a change of version (apt drops it, rpm's managers want it off): set anew, and its owner's."""
    owners = tuple(name for name in toolkit.held if not toolkit.record.made or name in toolkit.record.holds)
    return lock(toolkit.manager, PACKAGES if settings.toolkit.hold else owners)


def satisfied(settings: Settings, toolkit: Toolkit) -> bool:
    """Whether all four are there, once, at the version wanted; without one, at or above the floor."""
    if toolkit.doubled or set(toolkit.versions) != set(PACKAGES) or len(set(toolkit.versions.values())) != 1:
        return False
    if settings.toolkit.version:
        return toolkit.version == debian(settings.toolkit.version)
    return numbers(toolkit.version) >= numbers(settings.toolkit.minimum_version)


def refuse_vulnerable(settings: Settings) -> None:
    """Raise Refused for a pin below the floor, unless toolkit.allow_vulnerable says so."""
    wanted, floor = settings.toolkit.version, settings.toolkit.minimum_version
    if wanted and numbers(wanted) < numbers(floor) and not settings.toolkit.allow_vulnerable:
        raise Refused(
            f"toolkit.version is {wanted}, and versions before {floor} let a container break out of its host "
            "(CVE-2026-24260). Pin a newer one, or force it: --set toolkit.allow_vulnerable=true."
        )


def debian(version: str) -> str:
    """The package's version: NVIDIA's revision is always 1."""
    return version if "-" in version else f"{version}-1"
