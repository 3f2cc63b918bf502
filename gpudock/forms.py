"""The forms that single settings have: what fits, and how a person would say it.

The descriptions are in the JSON Schemas, and in the errors of what does not fit.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535, description="A TCP port, 1 to 65535.")]
Seconds = Annotated[int, Meta(ge=1, le=604800, description="Whole seconds, at least 1 and at most 604800, a week.")]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", description="A name of letters, digits, dots, dashes and underscores."
    ),
]
Reference = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._/:@-]*$", description="An image's name, in lower case.")]
Path = Annotated[str, Meta(pattern=r"^/", description="A path on the host, from the root.")]
Volume = Annotated[
    str,
    Meta(
        pattern=r"^(/[^:]*|[a-zA-Z0-9][a-zA-Z0-9_.-]+):/[^:]+(:ro|:rw)?$",
        description="/folder:/target or volume:/target, and :ro behind it where nothing may be written.",
    ),
]
Project = Annotated[
    str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="A name of small letters, digits, dashes and underscores.")
]
Address = Annotated[str, Meta(pattern=r"^(\d+(\.\d+){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$", description="An IP address.")]
Proxy = Annotated[str, Meta(pattern=r"^(\w+://\S+)?$", description="An address such as http://proxy:3128.")]
Mirror = Annotated[
    str, Meta(pattern=r"^(\w+://\S+)?$", description="An address such as https://mirrors.ustc.edu.cn/debian.")
]
Through = Annotated[
    str,
    Meta(
        pattern=r"^(operator(:[1-9][0-9]{0,4})?)?$",
        description="operator, or operator:7890 for a proxy program that listens at that port of this machine.",
    ),
]
Python = Literal["3.10", "3.11", "3.12", "3.13", "3.14"]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(min_length=1)]
Account = Annotated[
    str, Meta(pattern=r"^[a-z_][a-z0-9_-]{0,30}$", description="An account: small letters, digits, - and _.")
]
Line = Annotated[str, Meta(pattern=r"^[^\n]*$", description="A text of one line: SSH sessions get no more.")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The name of an environment variable.")]
Binding = Annotated[
    str, Meta(pattern=r"^\d{1,5}:\d{1,5}(/(tcp|udp))?$", description="Host port:container port, such as 80:8080.")
]


Locale = Annotated[
    str,
    Meta(
        pattern=r"^(C|POSIX|[a-z]{2,3}_[A-Z]{2}|C\.UTF-8|[a-z]{2,3}_[A-Z]{2}\.UTF-8)$",
        description="A language such as zh_CN.UTF-8 or C.UTF-8.",
    ),
]
Package = Annotated[
    str, Meta(pattern=r"^[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?(=\S+)?$", description="A package's name, such as ffmpeg.")
]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the settings; a key it does not know is an error."""
