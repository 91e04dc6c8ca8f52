"""Progress as lines of `event key=value ...` on standard output, each flushed at once (awslogs ships lines as
they come)."""

from __future__ import annotations


def event(name: str, **fields: object) -> None:
    """Writes one line. A value with spaces is quoted, so that a line can be taken apart again."""
    print(" ".join([name, *(f"{key}={_value(value)}" for key, value in fields.items())]), flush=True)


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f'"{text}"' if " " in text or not text else text
