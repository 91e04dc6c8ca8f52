"""XComs that may have been left by a trigger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def pulled(ti: Any, task_id: str) -> Any:
    """The ``return_value`` of a task; None when it has none, or for an empty task id."""
    return plain(ti.xcom_pull(task_ids=task_id)) if task_id else None


def pulled_all(ti: Any, task_ids: Sequence[str]) -> list[Any]:
    """The ``return_value`` of each task that has one."""
    return [plain(value) for value in ti.xcom_pull(task_ids=list(task_ids)) if value is not None]


def plain(value: Any) -> Any:
    """``value`` as it was pushed.

    Airflow 3.3.2 stores what a trigger's end event carries as JSON text, one encoding too many; what a worker
    pushes is stored as it is. Ours are objects, so text can only be the former.
    """
    return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value
