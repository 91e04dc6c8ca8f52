"""Values that another task of the run has left, named in a trigger's arguments and read once for all its shards.

A template in a trigger's arguments would be rendered for each shard, in the triggerer's event loop, and would wait
there for the API server: a thousand shards would read the same list of a thousand names, one after the other, while
nothing else goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import XCom

from ecs_feature.aws.shared_reads import SharedReads
from ecs_feature.exceptions import MissingValueError

SCHEME: Final = "xcom://"
# The shards of a run start within seconds of each other; a task that was cleared leaves a new value.
FRESH_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 60.0
"""How long a value may be missing: clearing a shard clears its setup tasks, and with them their XComs."""
RETRY_SECONDS: Final = 2.0


def reference(task_id: str, index: str = "") -> str:
    """Names the XCom ``return_value`` of a task of the same run.

    :param index: of an item of it, e.g. ``{{ ti.map_index }}``; empty: all of it.
    """
    return f"{SCHEME}{task_id}#{index}" if index else SCHEME + task_id


def is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(SCHEME)


def look_up(value: str, pull: Callable[[str], Any]) -> Any:
    """What a reference names; any other value is itself.

    :param pull: task id -> its XCom.
    :raises MissingValueError: there is none.
    """
    if not is_reference(value):
        return value
    task_id, index = _parts(value)
    return _item(pull(task_id), task_id, index)


async def look_up_shared(value: str, ti: Any) -> Any:
    """As :func:`look_up`, in the triggerer: one read serves all shards of the run that ask within seconds.

    A value that is missing is waited for, see :data:`TIMEOUT_SECONDS`.
    """
    if not is_reference(value):
        return value
    task_id, index = _parts(value)
    reads = _reads.setdefault(asyncio.get_running_loop(), SharedReads(_read, FRESH_SECONDS))
    return _item(await reads.get((ti.dag_id, ti.run_id, task_id)), task_id, index)


Key = tuple[str, str, str]
"""DAG's id, run's id, task's id."""
_reads: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedReads[Key, Any]] = WeakKeyDictionary()


async def _read(key: Key) -> Any:
    """The value, waited for; None when it is still not there."""
    dag_id, run_id, task_id = key
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        found = await XCom.aget_one(key="return_value", dag_id=dag_id, run_id=run_id, task_id=task_id)
        if found is not None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(RETRY_SECONDS)


def _parts(value: str) -> tuple[str, int | None]:
    task_id, _, index = value.removeprefix(SCHEME).partition("#")
    return task_id, int(index) if index else None


def _item(found: Any, task_id: str, index: int | None) -> Any:
    if found is None or (index is not None and not 0 <= index < len(found)):
        which = "" if index is None else f", item {index}"
        raise MissingValueError(
            f"Task {task_id} has left no value (XCom return_value{which}); clear it to run it again."
        )
    return found if index is None else found[index]
