"""Trees of processes: who descends from whom, and how a tree is ended so that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

import psutil

POLL_SECONDS = 0.05


def descendants(pids: Iterable[int]) -> set[psutil.Process]:
    """The processes with these ids and all that descend from them, without those that have ended."""
    found: set[psutil.Process] = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found |= {process, *process.children(recursive=True)}
    return found


def end(
    pids: Iterable[int],
    *,
    known: Iterable[psutil.Process] = (),
    grace_seconds: float,
    impatient: Callable[[], bool] = lambda: False,
) -> None:
    """Ask the processes to end with TERM, and after the grace period kill what is left of their trees and groups.

    :param pids: leaders of their own process groups.
    :param known: descendants seen earlier, whose parent may have died since; they are ended too.
    :param impatient: asked while waiting; true ends the grace period.
    """
    leaders = set(pids)
    doomed = descendants(leaders) | set(known)
    for pid in leaders:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(_alive(process) for process in doomed if process.pid in leaders):
        if time.monotonic() > deadline or impatient():
            break
        time.sleep(POLL_SECONDS)
    kill(leaders, known=doomed)


def kill(pids: Iterable[int], *, known: Iterable[psutil.Process] = ()) -> None:
    """Kill the processes, their groups and all that descends from them, without a warning.

    :param pids: leaders of their own process groups.
    :param known: descendants seen earlier, as in :func:`end`.
    """
    leaders = set(pids)
    doomed = descendants(leaders) | set(known)
    for pid in leaders:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()  # checks that the id was not given to another process


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
