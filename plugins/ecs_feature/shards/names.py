"""What a shard may be called, and the id that its task and its files have.

A shard keeps its name wherever people and jobs read it: SHARD, the log, the record, the receipt, the manifest, the
run's params. Task ids and S3 keys cannot have every character, so they have the shard's id: the name itself where it
is letters, digits, hyphens and underscores, else what is left of it and a digest.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Final

PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Names that are their own id."""
MAX_CHARACTERS: Final = 200
"""A name is in the environment of its task, in which RunTask takes 8,192 characters in all."""
_SLUG_CHARACTERS: Final = 60
_DIGEST_CHARACTERS: Final = 8
_REFERENCE: Final = "xcom://"
"""What a trigger's argument begins with when it stands for an XCom."""


_FORBIDDEN: Final = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and ends of lines and paragraphs: a name is one
line of a log."""


def shard_id(name: str) -> str:
    """The id: of ASCII letters, digits, hyphens and underscores, at most 100 characters; always the same for a name."""
    if PLAIN.fullmatch(name):
        return name
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", ascii_).strip("-")[:_SLUG_CHARACTERS].rstrip("-") or "shard"
    return f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]}"


def fault_of(name: object) -> str:
    """What is wrong with a name, as the end of a sentence that begins with it; empty: nothing."""
    if not isinstance(name, str):
        return f"is of type {type(name).__name__}, and a name is text; {_hint(name)}"
    if not name.strip():
        return "has no character that one can see; give it a name"
    if len(name) > MAX_CHARACTERS:
        return f"has {len(name)} characters, and at most {MAX_CHARACTERS} are possible; shorten it"
    if bad := next((each for each in name if unicodedata.category(each) in _FORBIDDEN), ""):
        return f"has the control character {bad!r}; leave it out"
    if name.startswith(_REFERENCE):
        return f"begins with {_REFERENCE}, which stands for another task's value; name it differently"
    return ""


def _hint(value: object) -> str:
    """What to write instead. The text that was read as NaN or False is not known any more."""
    if isinstance(value, bool) or (isinstance(value, float) and math.isnan(value)):
        return "readers make NaN of NA and False of NO, so read names as text"
    return f"write '{value}'" if isinstance(value, int | float) else "write names"


def fault_among(names: Iterable[str]) -> str:
    """What is wrong with valid names together, as a sentence without its field; empty: nothing."""
    names = list(names)
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        return f"{', '.join(twice)} stands there more than once; remove the copies."
    for kind, key in (
        ("look the same (their Unicode forms differ)", lambda name: unicodedata.normalize("NFC", name)),
        ("have the same id", shard_id),
    ):
        first: dict[str, str] = {}
        for name in names:
            if (other := first.setdefault(key(name), name)) != name:
                return f"{other!r} and {name!r} {kind}; rename one of them."
    return ""
