"""NVIDIA's package repository: its key, checked by fingerprint; its list, templated; other entries for it."""

from __future__ import annotations

from gpudock.actions import Action, Run
from gpudock.questions import Questions, file
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import apt

REPOSITORY = "https://nvidia.github.io/libnvidia-container"
KEYRING = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
SOURCE = "/etc/apt/sources.list.d/nvidia-container-toolkit.list"
KEY = """umask 022; new=$(mktemp -d); trap 'rm -rf "$new"' EXIT; export GNUPGHOME=$new
fingerprint=$1 keyring=$2; shift 2
for address in "$@"; do
  curl -fsSL --retry 2 --connect-timeout 10 --max-time 60 "$address" -o "$new/key" || continue
  gpg --batch --yes --dearmor -o "$new/keyring" "$new/key"
  gpg --batch --show-keys --with-colons "$new/keyring" | grep -q "^fpr:*$fingerprint:" || {
    echo "the key at $address is not the one expected ($fingerprint)"; continue; }
  install -m 0644 "$new/keyring" "$keyring"; exit 0
done; exit 1"""

FINGERPRINTS = 'gpg --batch --show-keys --with-colons "$1" | sed -n "s/^fpr:*\\([0-9A-F]*\\):.*/\\1/p"'
MODE = 'stat -c %a "$1"'
ENTRIES = """grep -l -r -E '^[^#]*(libnvidia-container|nvidia-container-runtime|nvidia-docker)' /etc/apt/sources.list \\
  /etc/apt/sources.list.d --include='*.list' --include='*.sources' --include=sources.list 2>/dev/null; :"""


QUESTIONS: Questions = {
    "toolkit.tools": question("command -v curl && command -v gpg"),
    "toolkit.key": question(FINGERPRINTS, KEYRING),
    "toolkit.key-mode": question(MODE, KEYRING),
    "toolkit.source": file(SOURCE),
    "toolkit.others": question(ENTRIES),
}


def fetch_key(settings: Settings) -> Action:
    """Fetch the key from where it can be had, and trust it only with the fingerprint that is expected."""
    argv = ("sh", "-ec", KEY, "sh", settings.toolkit.fingerprint, KEYRING, *key_addresses(settings))
    return Run("fetch NVIDIA's key and check its fingerprint", argv, environment=apt.environment(settings))


def key_addresses(settings: Settings) -> list[str]:
    """Where the key may come from; since its fingerprint is checked, a mirror is as good as NVIDIA."""
    return [f"{base}/gpgkey" for base in dict.fromkeys([settings.mirrors.toolkit or REPOSITORY, REPOSITORY])]


def render_source(settings: Settings, *, experimental: bool) -> str:
    """Write the two lines of NVIDIA's list, signed-by included; it is never downloaded.

    A mirror's copy still names nvidia.github.io (facts/toolkit.md §1), and apt itself expands $(ARCH).
    """
    line = f"deb [signed-by={KEYRING}] {settings.mirrors.toolkit or REPOSITORY}/{{channel}}/deb/$(ARCH) /\n"
    return line.format(channel="stable") + ("" if experimental else "#") + line.format(channel="experimental")


def aside(path: str) -> Action:
    """Switch off another entry for NVIDIA's repository; the file as it was stays beside it."""
    why = f"switch off NVIDIA's entry in {path}: apt refuses two for one repository"
    if path.endswith(".sources"):
        return Run(why, ("mv", "--", path, f"{path}.before-gpudock"))
    script = r"/^[^#]*(libnvidia-container|nvidia-container-runtime|nvidia-docker)/s/^/# /"
    return Run(why, ("sed", "-E", "-i.before-gpudock", script, path))
