"""Who may read what: Airflow's own authorization, for every route.

Airflow does not authenticate a plugin's app. What is asked here is what its own API asks for the same data: the DAG,
its runs, task instances and XComs. Nothing here reads ``request.app.state``, which a mounted app does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from ecs_feature.results.versions import ROLLBACK_DAG

ENTITIES: Final = (None, DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)
"""What one has to be allowed to read of a DAG; None is the DAG itself."""

User = Annotated[Any, Depends(get_user)]


def check_dag(dag_id: Any, request: Request, user: Any) -> str:
    """The DAG's id, when the user may read it.

    :raises HTTPException: 403 when the user may not, 422 for no id: Airflow would read none, and ``~``, as all DAGs.
    """
    if not isinstance(dag_id, str) or dag_id in ("", "~"):
        raise HTTPException(422, "dag_id: name one DAG.")
    for entity in ENTITIES:
        requires_access_dag("GET", entity, dag_id)(request, user)
    return dag_id


def readable_dag(dag_id: str, request: Request, user: User) -> str:
    """Dependency: the query's DAG, which the user may read."""
    return check_dag(dag_id, request, user)


async def readable_dag_of_body(request: Request, user: User) -> dict[str, Any]:
    """Dependency: a JSON body that names a DAG, ``dag_id``, which the user may read."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise HTTPException(422, 'body: give a JSON object, {"dag_id": ..., ...}.')
    await run_in_threadpool(check_dag, body.get("dag_id"), request, user)
    return body


def may_make_current(dag_id: str, user: User) -> bool:
    """Dependency: whether the user may make another version of the query's DAG current: clear its tasks, and start the
    DAG that does it. The second alone is the same for all pipelines."""
    needed = (("PUT", DagAccessEntity.TASK_INSTANCE, dag_id), ("POST", DagAccessEntity.RUN, ROLLBACK_DAG))
    authorized = get_auth_manager().is_authorized_dag
    return all(
        authorized(method=method, access_entity=entity, details=_details(dag), user=user)
        for method, entity, dag in needed
    )


def readable_dags(request: Request, user: User) -> Any:
    """Dependency: what finds out which of some DAGs the user may read; only for users who may list DAGs."""
    requires_access_dag("GET")(request, user)

    def allowed(dag_ids: Iterable[str]) -> list[str]:
        manager = get_auth_manager()
        listed = manager.get_authorized_dag_ids(user=user, method="GET")
        return [
            dag_id
            for dag_id in dag_ids
            if dag_id in listed
            and all(
                manager.is_authorized_dag(method="GET", access_entity=entity, details=_details(dag_id), user=user)
                for entity in ENTITIES[1:]
            )
        ]

    return allowed


def _details(dag_id: str) -> Any:
    return DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))


ReadableDag = Annotated[str, Depends(readable_dag)]
BodyOfReadableDag = Annotated[dict[str, Any], Depends(readable_dag_of_body)]
MayMakeCurrent = Annotated[bool, Depends(may_make_current)]
ReadableDags = Annotated[Any, Depends(readable_dags)]
