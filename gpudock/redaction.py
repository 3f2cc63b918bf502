"""Take secrets out of a text that leaves the operator's hands: those that are known, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpudock.credentials import hide

HIDDEN = "•••"
SHORTEST = 6  # characters; a shorter value stands for itself everywhere, as `yes` and `8888` do

NAMES = (
    r"(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|authorization)"
)

PATTERNS = (
    (r"(://)[^/\s@\"']+@", rf"\1{HIDDEN}@"),  # user and password in an address
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
    (r"argon2(?:id?|d)?:?\$[^\s\"']+", HIDDEN),
    (r"\$(?:argon2[id]{1,2}|2[aby]|[156y]|y|gy)\$[^\s\"',:]+", HIDDEN),  # hashes as crypt(3) writes them
    (r"\bsha(?:1|256):[0-9a-f]{6,}:[0-9a-f]{20,}", HIDDEN),  # Jupyter's older hashes
    (r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abp]-|AKIA)[\w-]{12,}", HIDDEN),
    (r"\b(Bearer|Basic|token)\s+[\w.~+/=-]{8,}", rf"\1 {HIDDEN}"),
    # NAME=value, "name": "value", name: value, --name value, ?name=value
    (rf"(\b[\w.-]*{NAMES}\b[\"']?\s*[=:]\s*[\"']?)(?!•••)[^\s\"',&}}]+", rf"\1{HIDDEN}"),
    (rf"(--[\w.-]*{NAMES}\s+)[^\s\"'-][^\s\"']*", rf"\1{HIDDEN}"),
)


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without `secrets`, without those given in this run, and without what looks like a secret."""
    for value in sorted({value for value in secrets if len(value) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = hide(text)
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE | re.DOTALL)
    return text
