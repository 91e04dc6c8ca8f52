"""Work that serves many tasks, or outlives the one that starts it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def spawn_detached(coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Start a task of the running event loop in an empty context. The caller keeps the task.

    Airflow routes log lines to task logs by context: in its starter's context, what it logs for many would stand in
    the log of the one shard that came first.
    """
    return asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())


def is_cancelled() -> bool:
    """Whether the current asyncio task is being cancelled, and has not only met a cancelled one."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
