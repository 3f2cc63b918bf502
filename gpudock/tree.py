"""A folder packed as a tar archive, in which it travels to a host."""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path

YEAR = 365 * 24 * 3600  # seconds


def packed(tree: Path) -> bytes:
    """Pack a tree so that the same files give the same bytes, owned by root, with the modes that git keeps.

    A clone has those of its owner's umask: by 077 the image's own /etc would be closed to its users.
    A file's time, in 1970, follows from its content: BuildKit takes a file of the same size and time for the
    one it knows (https://github.com/moby/buildkit/issues/2592), and a build would go on with the former text.
    """

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in entry.name:
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        entry.mtime = zlib.crc32((tree / entry.name).read_bytes()) % YEAR if entry.isfile() else 0
        return entry

    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        archive.add(tree, arcname=".", filter=anonymous)
    return whole.getvalue()
