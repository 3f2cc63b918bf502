"""One change of daemon.json: checked by dockerd itself, backed up with time and reason, then in place, whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from gpudock.actions import Action, unified_diff
from gpudock.host import Host, Line

# dockerd checks the file together with the flags it runs with: from 23.0 on, older ones cannot.
# Nobody's edit in between is lost: the file must still be the one that the plan saw.
REPLACE = """target=$1 folder=$2 reason=$3 size=$4 before=$5 mode=$6 owner=$7 dockerd=$8; shift 8
mkdir -p -m 0755 "$(dirname "$target")"; rm -f "$target".gpudock-??????  # left where a run was cut off
new=$(mktemp "$target.gpudock-XXXXXX"); trap 'rm -rf "$new" "${kept:-$new}"' EXIT; cat >"$new"
[ "$size" = none ] || [ "$(wc -c <"$new")" -eq "$size" ] || { echo "$target: only a part arrived"; exit 1; }
now=; [ ! -e "$target" ] || now=$(sha256sum <"$target" | cut -d' ' -f1)
[ "$now" = "$before" ] || { echo "$target has changed in the meantime, so it is left untouched"; exit 1; }
if [ "$size" != none ] && "$dockerd" --help 2>/dev/null | grep -q -e --validate; then
  "$dockerd" "$@" --validate --config-file "$new" || { echo "Docker would not take it: $target is as before"; exit 1; }
fi
mkdir -p -m 0700 "$folder/backups"; kept=$(mktemp -d "$folder/backups/.XXXXXX")
printf '%s\\n' "$reason" >"$kept/reason"
[ ! -e "$target" ] || cp -p "$target" "$kept/daemon.json"
now=$(date -u +%Y%m%dT%H%M%S.%3NZ) last=$(ls "$folder/backups" | tail -n 1)
[ "$now" \\> "$last" ] || now=$last+  # the clock was set back: the newest is the last by name all the same
sync "$kept"/*; mv -T "$kept" "$folder/backups/$now"; kept=
sha256sum <"$new" | cut -d' ' -f1 >"$folder/written.new"; mv "$folder/written.new" "$folder/written"
if [ "$size" = none ]; then rm -f "$target"; exit 0; fi
chmod "$mode" "$new"; chown "$owner" "$new"; sync "$new"; mv -f "$new" "$target\""""


@dataclass(frozen=True)
class DaemonFile:
    """daemon.json as it is on the host, and the dockerd that reads it.

    `text` is None where there is no file; bytes that are no UTF-8 are in it as surrogates. `flags` are those dockerd
    runs with, --config-file left out.
    """

    path: str
    text: str | None
    mode: str = "644"
    owner: str = "root:root"
    dockerd: str = "dockerd"
    flags: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, empty where there is none."""
        return "" if self.text is None else digest(self.text)


@dataclass(frozen=True)
class Replace(Action):
    """Give daemon.json another text; None takes it away. `folder` is where the backup goes."""

    file: DaemonFile = field(repr=False)
    text: str | None = field(repr=False)
    folder: str

    def apply(self, host: Host, on_line: Line) -> None:
        """Raise ActionFailed, the file untouched, where dockerd would not take the text."""
        data = encode(self.text or "")
        file = self.file
        size = "none" if self.text is None else str(len(data))
        words = [file.path, self.folder, self.why, size, file.digest, file.mode, file.owner, file.dockerd]
        self._check(host.do(("sh", "-ec", REPLACE, "sh", *words, *file.flags), data=data))

    def describe(self) -> dict[str, Any]:
        """The action as data, with the file's change."""
        return {"why": self.why, "path": self.file.path, "diff": self.diff()}

    def diff(self) -> str:
        """The file's change; bytes that are no UTF-8 are shown by their numbers."""
        return unified_diff(self.file.path, _shown(self.file.text), _shown(self.text))


def encode(text: str) -> bytes:
    """The bytes of a text that `decode` made."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """The text of a file's bytes, whatever they are: `encode` gives the same bytes back."""
    return data.decode("utf-8", "surrogateescape")


def digest(text: str) -> str:
    """The SHA-256 of a text's bytes, in hexadecimal."""
    return sha256(encode(text)).hexdigest()


def _shown(text: str | None) -> str | None:
    return None if text is None else encode(text).decode("utf-8", "backslashreplace")
