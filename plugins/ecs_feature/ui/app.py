"""The web app of the Shards tab: it reads, and it writes nothing. Airflow mounts it at ``/ecs_feature``.

Writing (clear, backfill, trigger) is done by the browser with Airflow's own API and the user's session. Every route but
the static files asks Airflow who may read it (:mod:`ecs_feature.ui.auth`); there is no AWS call.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from airflow.utils.session import create_session
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.staticfiles import StaticFiles

from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.ui.auth import BodyOfReadableDag, MayMakeCurrent, ReadableDag, ReadableDags
from ecs_feature.ui.board import VALUES, board
from ecs_feature.ui.cell import cell
from ecs_feature.ui.estimates import estimates
from ecs_feature.ui.overview import overview
from ecs_feature.ui.registration import STATIC
from ecs_feature.ui.run import run_view

routes = APIRouter()


def create_app() -> FastAPI:
    """The app. It has no pages of its own documentation: these would be open to everybody."""
    app = FastAPI(title="Shards", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(routes, prefix="/api")
    app.add_exception_handler(EcsFeatureError, _refused)
    app.mount("/static", _Static(directory=STATIC, check_dir=False), name="static")
    return app


class _Static(StaticFiles):
    """Static files that a browser asks for again: Starlette sends no Cache-Control, so it would guess."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _refused(_: Request, error: Exception) -> Response:
    return _json({"detail": str(error)}, status=422)


def _json(value: Any, status: int = 200) -> Response:
    """Compact, and never kept: what a browser or a proxy keeps is of one user."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")


def moment(text: str | None, field: str) -> datetime | None:
    """:raises HTTPException: 422 for what is no ISO 8601."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise HTTPException(422, f"{field}: {text!r:.100} is no time; give ISO 8601, e.g. 2013-02-08T00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@routes.get("/board")
def get_board(
    dag_id: ReadableDag,
    runs: Annotated[int, Query(ge=1, le=400)] = 30,
    before: str | None = None,
    since: str | None = None,
    values: str | None = None,
) -> Response:
    """The board of a DAG."""
    wanted = None if values is None else [name for name in values.split(",") if name in VALUES]
    with create_session() as session:
        return _json(board(session, dag_id, last=runs, before=before, since=moment(since, "since"), values=wanted))


@routes.get("/cell")
def get_cell(dag_id: ReadableDag, run_id: str, task_id: str, map_index: int = -1) -> Response:
    """One shard in one run."""
    with create_session() as session:
        return _json(cell(session, dag_id, run_id, task_id, map_index))


@routes.get("/run")
def get_run(dag_id: ReadableDag, run_id: str, may: MayMakeCurrent) -> Response:
    """One run."""
    with create_session() as session:
        return _json(run_view(session, dag_id, run_id, may_make_current=may))


@routes.get("/overview")
def get_overview(allowed: ReadableDags) -> Response:
    """All pipelines that the user may read."""
    with create_session() as session:
        return _json(overview(session, allowed))


@routes.post("/estimate")
def post_estimate(body: BodyOfReadableDag) -> Response:
    """What a rerun of chosen cells will take. It is a POST because many cells fit in no address; it writes nothing."""
    with create_session() as session:
        return _json(estimates(session, body["dag_id"], body.get("runs")))
