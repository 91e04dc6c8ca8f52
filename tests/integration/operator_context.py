"""What an operator is executed with when there is no Airflow around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

CLUSTER = "features"


def context(params: dict[str, Any] | None = None, logical_date: Any = "2013-01-01") -> dict[str, Any]:
    """What an operator reads of its context."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(pushed=pushed, xcom_push=lambda key, value: pushed.__setitem__(key, value))
    return {"params": params or {}, "dag_run": SimpleNamespace(logical_date=logical_date), "ti": ti}
