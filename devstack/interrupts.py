"""Ctrl-C, SIGTERM and a closed terminal: each becomes a KeyboardInterrupt, but not while a process starts or stops.

Signals belong to the whole process, so this module keeps its state for the process as well.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    received = 0
    pending = False
    shields = 0


def install() -> None:
    """Take over the signals; without this call, :func:`shielded` does nothing."""
    for number in _SIGNALS:
        signal.signal(number, _handle)


def received() -> int:
    """How many times the user has asked to stop; from the second on, stopping does not wait."""
    return _State.received


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Hold interrupts back until the block has ended.

    :raises KeyboardInterrupt: after the block, when a signal came during it.
    """
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if _State.pending and not _State.shields:
            _State.pending = False
            raise KeyboardInterrupt


def _handle(number: int, frame: FrameType | None) -> None:
    _State.received += 1
    if _State.shields:
        _State.pending = True
    else:
        raise KeyboardInterrupt
