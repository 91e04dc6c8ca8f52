"""Keeps the ECS task of a worker from scale-in while it has work.

ECS chooses which tasks of a service it stops when the desired count goes down. It leaves those that are protected
(AmazonECS/latest/developerguide/task-scale-in-protection.html). A worker may have several shards at a time, each in a
process of its own: the first protects the task, the last one to end lets go.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import tempfile
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ecs_feature.workers.host import AGENT, ask

MAX_MINUTES: Final = 2880
"""AmazonECS/latest/APIReference/API_UpdateTaskProtection.html, as is the least, 1."""
_UNPROTECTED: Final = "This worker's ECS task cannot be protected from scale-in, so a scale-down may stop it at work"
SPARE_SECONDS: Final = 600.0
"""How much longer than the work may take the protection lasts."""


@contextlib.contextmanager
def protected(seconds: float, log: Any, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Protect the ECS task that this process runs in; nothing happens elsewhere.

    Where the agent refuses, the work goes on without protection, and a warning says so.

    :param seconds: how long the work may take.
    """
    address = environ.get(AGENT, "")
    if not address:
        yield
        return
    busy = _Busy(address)
    minutes = min(MAX_MINUTES, math.ceil((seconds + SPARE_SECONDS) / 60))
    with busy.changing():
        # Also when others protect it already: this work may take longer than theirs.
        _set(address, {"ProtectionEnabled": True, "ExpiresInMinutes": minutes}, log)
        busy.enter()
    try:
        yield
    finally:
        with busy.changing() as others:
            busy.leave()
            if not others - {os.getpid()}:
                _set(address, {"ProtectionEnabled": False}, log)


def _set(address: str, state: Mapping[str, Any], log: Any) -> None:
    try:
        failure = ask(f"{address}/task-protection/v1/state", state).get("failure")
    except urllib.error.HTTPError as error:
        log.warning(
            "%s: %s. Its task role needs ecs:GetTaskProtection and ecs:UpdateTaskProtection.",
            _UNPROTECTED,
            error.read().decode(errors="replace"),
        )
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s: %s.", _UNPROTECTED, error)
    else:
        # While a service has more protected tasks than it wants, for instance, ECS protects no further one.
        if failure:
            log.warning("%s: %s. A shard that is stopped is tried again and loses no retry.", _UNPROTECTED, failure)


class _Busy:
    """The processes of this worker that have work: a file for each, in a folder of the ECS task's own."""

    def __init__(self, address: str) -> None:
        task = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.folder = Path(tempfile.gettempdir()) / f"ecs-feature-busy-{os.getuid()}-{task}"

    @contextlib.contextmanager
    def changing(self) -> Iterator[set[int]]:
        """The processes at work, with nobody else changing that; those that were killed do not count."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = {int(path.name) for path in self.folder.iterdir() if path.name.isdigit()}
            for dead in [each for each in there if not _lives(each)]:
                (self.folder / str(dead)).unlink(missing_ok=True)
                there.discard(dead)
            yield there

    def enter(self) -> None:
        (self.folder / str(os.getpid())).touch()

    def leave(self) -> None:
        (self.folder / str(os.getpid())).unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
