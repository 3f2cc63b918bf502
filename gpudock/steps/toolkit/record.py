"""gpudock's own record on the host: what was here before it, and what it brought. `uninstall` goes by it alone.

It is made once, whole or not at all, before the first change; so it is right wherever a run is cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpudock.actions import Action, shell
from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.questions import Questions
from gpudock.questions import files as host_files
from gpudock.settings import Settings

# Whether one of dnf, yum, dnf5 or zypper has a package locked: to ask them takes each half a second.
HELD = """held() {
  grep -qsE "^$1-([0-9]+:)?[0-9]" /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list ||
  grep -qsxF "name = \\"$1\\"" /etc/dnf/versionlock.toml || grep -qsx "solvable_name: $1" /etc/zypp/locks; }
"""

REMEMBER = (
    HELD
    + """umask 077; [ ! -e "$1/before" ] || exit 0
mkdir -p "$1"; new=$(mktemp -d "$1/before.XXXXXX"); trap 'rm -rf "$new"' EXIT
keep() { [ ! -e "$2" ] || cat "$2" >"$new/$1"; }
keep keyring "$2"; keep source "$3"; keep daemon.json "$4"
[ -d "$(dirname "$4")" ] || : >"$new/no-docker-folder"
folder=$1; shift 4
if command -v apt-mark >/dev/null; then apt-mark showhold >"$new/holds"; fi
if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n' "$@" 2>/dev/null | sed -n 's/^installed //p'
  apt-mark showauto "$@" >"$new/automatic"
fi >"$new/packages"
if command -v rpm >/dev/null; then
  rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' "$@" | grep -vE ' .* ' >>"$new/packages" || :
  rpm -qa 'gpg-pubkey*' >"$new/trusted"; for name in "$@"; do ! held "$name" || echo "$name"; done >>"$new/holds"
fi
for name in packages automatic trusted; do [ -s "$new/$name" ] || rm -f "$new/$name"; done
sync "$new"/* 2>/dev/null || :
mv -T "$new" "$folder/before\""""
)


@dataclass(frozen=True)
class Record:
    """What gpudock noted. `before` holds the files that were here, by name; `written` is daemon.json as we left it.

    `brought` are the packages that came with ours. `made` tells whether there is a record at all.
    """

    made: bool = False
    before: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    brought: tuple[str, ...] = ()
    written: str = ""

    @property
    def versions(self) -> Mapping[str, str]:
        """The toolkit's packages that were here before gpudock came."""
        rows = [line.split() for line in self.before.get("packages", b"").decode().splitlines()]
        return {row[0]: row[1] for row in rows if len(row) == 2}

    @property
    def automatic(self) -> tuple[str, ...]:
        """Those of them that apt had installed by itself, for another package's sake."""
        return tuple(self.before.get("automatic", b"").decode().split())

    @property
    def holds(self) -> tuple[str, ...]:
        """The packages that somebody held before gpudock came."""
        return tuple(self.before.get("holds", b"").decode().split())


def folder(settings: Settings) -> str:
    """Where record and backups are; `teardown` leaves them as long as the toolkit stays."""
    return f"{settings.host.state}/toolkit"


def questions(settings: Settings) -> Questions:
    """The record, in one question."""
    return {"toolkit.record": host_files(*(f"{folder(settings)}/{part}" for part in ("before", "brought", "written")))}


def read(settings: Settings, answers: Answers) -> Record:
    """Make a Record of the answer. Raises CannotTell where it is there and cannot be read, which is not the same."""
    answer, path = answers["toolkit.record"], folder(settings)
    if not answer.ok:
        raise CannotTell(f"The record of what was here before gpudock cannot be read: {answer.err.strip()}.")
    files = {name.removeprefix(f"{path}/"): file.content for name, file in answer.files.items()}
    before = {name.partition("/")[2]: text for name, text in files.items() if name.startswith("before/")}
    return Record(
        made=bool(before),
        before=before,
        brought=tuple(sorted(set(files.get("brought", b"").decode().split()))),
        written=files.get("written", b"").decode().strip(),
    )


def remember(
    settings: Settings, record: Record, paths: tuple[str, str, str], packages: tuple[str, ...]
) -> list[Action]:
    """Note what is on the host, before the first change to it: `paths` are the key, the source and daemon.json."""
    if record.made:
        return []
    return [shell("note what is here before", REMEMBER, folder(settings), *paths, *packages)]
