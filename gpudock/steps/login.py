"""A mirror's user and password on a host: in a file that root alone reads, never in a source that everybody reads.

https://manpages.debian.org/apt_auth.conf.5; zypper's counterpart is /etc/zypp/credentials.d.
"""

from __future__ import annotations

import hashlib
from urllib.parse import SplitResult, unquote, urlsplit

from gpudock.actions import Action, Write, remove
from gpudock.answers import Answer, Argv
from gpudock.errors import UsageError
from gpudock.questions import shell as question

# The text itself stays on the host: its hash tells whether it is the one wanted.
FOUND = 'for path; do [ ! -e "$path" ] || { stat -c %a "$path"; sha256sum <"$path"; break; }; done'


def public(address: str) -> str:
    """The address without user and password, for sources, command lines and logs."""
    parts = urlsplit(address)
    return parts._replace(netloc=_host(parts)).geturl() if "@" in parts.netloc else address


def given(address: str) -> tuple[str, str] | None:
    """User and password of an address; None where it has none.

    Raises UsageError for what the tools' files cannot hold: they split at white space.
    """
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return None
    pair = unquote(parts.username or ""), unquote(parts.password or "")
    if any(letter.isspace() or not letter.isprintable() for letter in "".join(pair)):
        raise UsageError(f"{public(address)}: its user or password has white space, which apt's auth.conf cannot hold.")
    return pair


def apt_path(name: str) -> str:
    """The file for a mirror's login; apt opens it as root, before its methods become another user."""
    return f"/etc/apt/auth.conf.d/gpudock-{name}.conf"


def apt_entry(address: str) -> str | None:
    """The line for apt's auth.conf; None where the address has no login.

    A path is matched by its beginning, so it ends in a slash; a bare host means https alone, another protocol is named.
    """
    pair, parts = given(address), urlsplit(address)
    if pair is None:
        return None
    protocol = "" if parts.scheme == "https" else f"{parts.scheme}://"
    path = f"{parts.path.rstrip('/')}/" if parts.path.strip("/") else ""
    password = f" password {pair[1]}" if pair[1] else ""
    return f"machine {protocol}{_host(parts)}{path} login {pair[0]}{password}\n"


def curl_entry(address: str) -> str:
    """The same for curl's configuration (`-K -`); empty where the address has no login."""
    pair = given(address)
    text = "" if pair is None else ":".join(pair).replace("\\", "\\\\").replace('"', '\\"')
    return f'user = "{text}"' if text else ""


def asked(*paths: str) -> Argv:
    """The question for the first of these files that is there."""
    return question(FOUND, *paths)


def found(answer: Answer) -> str:
    """Mode and hash of the file, empty where there is none."""
    return " ".join(answer.out.split()[:2])


def keep(what: str, path: str, text: str | None, there: str) -> list[Action]:
    """Put the file in place where it is not as wanted, or take it away where no login is given; `there` is `found`."""
    if text is None:
        return [remove(f"remove the login of {what}'s former mirror", path)] if there else []
    if there == f"600 {hashlib.sha256(text.encode()).hexdigest()}":
        return []
    return [Write(f"keep the login of {what}'s mirror where root alone reads it", path, text, mode=0o600, secret=True)]


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
