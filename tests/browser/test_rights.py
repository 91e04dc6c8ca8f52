"""Who may see and do what: Airflow decides, for our own routes as for its own."""

from __future__ import annotations

from typing import Any

import pytest

from devstack.ui import boards

ROUTES = (
    ("GET", "/ecs_feature/api/board", {"params": {"dag_id": boards.NAMED}}),
    ("GET", "/ecs_feature/api/run", {"params": {"dag_id": boards.NAMED, "run_id": "x"}}),
    (
        "GET",
        "/ecs_feature/api/cell",
        {"params": {"dag_id": boards.NAMED, "run_id": "x", "task_id": "control.shards.CA"}},
    ),
    ("GET", "/ecs_feature/api/overview", {}),
    ("POST", "/ecs_feature/api/estimate", {"json": {"dag_id": boards.NAMED, "runs": []}}),
)


@pytest.mark.parametrize(("method", "path", "arguments"), ROUTES, ids=[path for _, path, _ in ROUTES])
def test_who_has_no_role_gets_nothing_from_any_route(ui: Any, method: str, path: str, arguments: Any) -> None:
    assert ui.ask(method, path, None, **arguments).status_code == 401
    refused = ui.ask(method, path, "nobody", **arguments)
    assert refused.status_code == 403
    assert "shards" not in refused.json()


def test_a_forged_call_of_a_viewer_is_refused_by_airflow(ui: Any) -> None:
    run_id = ui.json("/ecs_feature/api/board", dag_id=boards.NAMED)["runs"][-2]["run_id"]
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["control.shards.CA"], "only_failed": False}
    assert ui.ask("POST", f"/api/v2/dags/{boards.NAMED}/clearTaskInstances", "viewer", json=body).status_code == 403
