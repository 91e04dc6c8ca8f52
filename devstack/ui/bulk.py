"""Many rows at once: PostgreSQL's COPY, and tables without their indexes while they are filled."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, text

CHUNK: Final = 5000
"""Rows of one statement where there is no COPY."""
_ESCAPES: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
"""Of COPY's text format, https://www.postgresql.org/docs/current/sql-copy.html."""


def insert_rows(session: Any, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that have the same columns."""
    if session.get_bind().dialect.name != "postgresql":
        for first in range(0, len(rows), CHUNK):
            session.execute(insert(table), rows[first : first + CHUNK])
        return
    if not rows:
        return
    connection = session.connection()
    names = list(rows[0])
    columns = [_texts([row[name] for row in rows], table.c[name].type, connection.dialect) for name in names]
    lines = io.StringIO("".join("\t".join(fields) + "\n" for fields in zip(*columns, strict=True)))
    with connection.connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table.name} ({', '.join(names)}) FROM STDIN", lines)


def _texts(values: Sequence[Any], kind: Any, dialect: Any) -> list[str]:
    """Fields of COPY; what is the same object in many rows is made once."""
    process = kind.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
    known: dict[int, str] = {}
    for value in values:
        if id(value) not in known:
            known[id(value)] = _text(process(value))
    return [known[id(value)] for value in values]


def _text(value: Any) -> str:
    value = getattr(value, "adapted", value)  # psycopg2's Binary and Json
    if value is None:
        return "\\N"
    if isinstance(value, bytes | memoryview):
        return f"\\\\x{bytes(value).hex()}"
    if isinstance(value, datetime):
        return value.isoformat()
    shown = str(value)
    for character, escaped in _ESCAPES:
        shown = shown.replace(character, escaped)  # str.translate takes twenty times as long
    return shown


@contextmanager
def without_indexes(session: Any, tables: Sequence[str]) -> Iterator[None]:
    """PostgreSQL's tables without indexes (but those of keys) and checks of references, for the ``with`` block."""
    query = text(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:tables) "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    indexes = session.execute(query, {"tables": list(tables)}).all()
    for name, _ in indexes:
        session.execute(text(f'DROP INDEX "{name}"'))
    session.execute(text("SET session_replication_role = replica"))
    session.commit()
    yield
    session.execute(text("SET session_replication_role = origin"))
    for _, made_by in indexes:
        session.execute(text(made_by))
    session.commit()
