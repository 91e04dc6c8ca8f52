"""XComs from the triggerer."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import XCom


async def push(ti: Any, key: str, value: Any, log: Any) -> bool:
    """Store an XCom of the trigger's task; False when that is not possible, as in ``dag.test()``.

    Each call costs the supervisor a whole loop, see docs/decisions/0009-records-come-with-the-end-event.md.

    :param ti: the trigger's ``task_instance``.
    """
    if ti is None:
        return False
    try:
        await XCom.aset(key, value, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
    except Exception as error:  # the shard must go on whatever is wrong; a worker can store the XCom
        log.warning("The XCom %s could not be stored from the triggerer: %r", key, error)
        return False
    return True


async def pull_own(ti: Any, key: str, log: Any) -> Any:
    """The XCom that an earlier try of the trigger's task stored under ``key``; None when there is none."""
    if ti is None:
        return None
    try:
        return await XCom.aget_one(
            key=key, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
        )
    except Exception as error:
        log.warning("The XCom %s of an earlier try could not be read: %r", key, error)
        return None
