"""The client of Airflow's REST API, while others keep SQLite locked."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from devstack import api
from devstack.api import LOCKED_TRIES, AirflowApi
from devstack.errors import StackError

LOCKED = {"detail": {"reason": "Database error", "message": "Serious error when handling your request."}}


def answering(monkeypatch: pytest.MonkeyPatch, *answers: httpx.Response) -> tuple[AirflowApi, list[httpx.Request]]:
    """A client whose requests get these answers, one after the other; and the requests."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(200, json={"access_token": "x"})
        asked.append(request)
        return answers[len(asked) - 1]

    monkeypatch.setattr(api, "LOCKED_SECONDS", 0.0)
    client = AirflowApi("http://airflow")
    client.close()
    client._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(handle))
    return client, asked


def test_a_request_is_made_again_while_the_database_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    client, asked = answering(monkeypatch, *[httpx.Response(500, json=LOCKED)] * 2, httpx.Response(200, json={"a": 1}))
    assert client.patch("/dags/d", {"is_paused": False}) == {"a": 1}
    assert [json.loads(request.content) for request in asked] == [{"is_paused": False}] * 3


@pytest.mark.parametrize(("body", "tries"), [(LOCKED, LOCKED_TRIES), ({"detail": "Internal Server Error"}, 1)])
def test_another_error_and_one_that_stays_are_told(
    monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], tries: int
) -> None:
    client, asked = answering(monkeypatch, *[httpx.Response(500, json=body)] * LOCKED_TRIES)
    with pytest.raises(StackError, match="Airflow answered POST /dags/d/dagRuns with 500"):
        client.post("/dags/d/dagRuns", {})
    assert len(asked) == tries
