"""What a request to `/encode` must look like."""

from __future__ import annotations

import json
from typing import Any

from encoder.hashing import Value

MAX_ROWS = 1000
MAX_BYTES = 1024 * 1024


class BadRequest(Exception):
    """The body is not as it should be; the message is one sentence for the caller."""


def rows_of(body: bytes, columns: tuple[str, ...]) -> list[dict[str, Value]]:
    """The rows of `{"rows": [{column: text or whole number, ...}, ...]}`, each with exactly `columns`.

    :raises BadRequest: anything else.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON.") from None
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise BadRequest('the body is not an object with a list "rows".')
    if len(rows) > MAX_ROWS:
        raise BadRequest(f"rows has {len(rows)} entries, at most {MAX_ROWS} are encoded at once: send smaller batches.")
    for index, row in enumerate(rows):
        _check(index, row, columns)
    return rows


def _check(index: int, row: Any, columns: tuple[str, ...]) -> None:
    if not isinstance(row, dict):
        raise BadRequest(f"rows[{index}] is not an object.")
    for column in columns:
        if column not in row:
            raise BadRequest(f"rows[{index}] has no {column!r}: each row needs {', '.join(columns)}.")
        value = row[column]
        if type(value) not in (str, int):
            raise BadRequest(f"rows[{index}] has {column!r} = {value!r:.40}: it must be a text or a whole number.")
        if isinstance(value, str) and not _is_unicode(value):
            raise BadRequest(f"rows[{index}] has {column!r} = {value!r:.40}: it is no Unicode text.")
    if len(row) > len(columns):
        unknown = ", ".join(sorted(set(row) - set(columns)))
        raise BadRequest(f"rows[{index}] has unknown columns {unknown:.80}: only {', '.join(columns)} are encoded.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can write
        return False
    return True
