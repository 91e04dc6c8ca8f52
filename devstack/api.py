"""A small client of Airflow's public REST API (/api/v2), for the calls that the stack needs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx

from devstack.errors import StackError

PAGE: Final = 100
"""Entries per page; the API server's own upper limit ([api] maximum_page_limit)."""
LOCKED_TRIES: Final = 5
LOCKED_SECONDS: Final = 1.0
"""How often, and how long after each other, a request is made while others keep SQLite locked, as they do while all
DAGs are parsed at first."""


class AirflowApi:
    """The calls, as an admin.

    :param url: of the API server, without a path.
    :param password: of the user admin; None where the stack's SimpleAuthManager makes everybody an admin.
    """

    def __init__(self, url: str, password: str | None = None) -> None:
        self.url = url
        self._password = password
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=60)
        self._token: str | None = None

    def health(self) -> dict[str, str]:
        """The status of each component ("healthy" or not), empty while the API server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=5)
        except httpx.TransportError:
            return {}
        if answer.status_code != httpx.codes.OK:
            return {}
        return {name: str(part.get("status")) for name, part in answer.json().items() if isinstance(part, dict)}

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a GET below /api/v2.

        :raises StackError: the answer is not 2xx.
        """
        return self._request("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a POST below /api/v2.

        :raises StackError: the answer is not 2xx.
        """
        return self._request("POST", path, json=dict(body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a PATCH below /api/v2.

        :raises StackError: the answer is not 2xx.
        """
        return self._request("PATCH", path, json=dict(body))

    def delete(self, path: str) -> None:
        """A DELETE below /api/v2.

        :raises StackError: the answer is not 2xx.
        """
        self._request("DELETE", path)

    def pages(self, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """All entries of a list, however many pages it has."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=PAGE, offset=len(entries), **params)
            entries += page[key]
            if not page[key] or len(entries) >= page["total_entries"]:
                return entries

    def dag_ids(self) -> set[str]:
        """The DAGs that have been parsed."""
        return {dag["dag_id"] for dag in self.pages("/dags", "dags")}

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that cannot be imported: ``filename``, ``stack_trace``, ..."""
        return self.pages("/importErrors", "import_errors")

    def pause(self, dag_id: str) -> None:
        """Let the scheduler start nothing of a DAG; what runs goes on."""
        self.patch(f"/dags/{dag_id}", {"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler work on a DAG."""
        self.patch(f"/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, logical_date: datetime, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run; returns its run id.

        :param logical_date: aware of its time zone.
        """
        body = {"logical_date": logical_date.isoformat(), "conf": dict(conf or {})}
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run, their current tries."""
        return self.pages(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """One XCom value as JSON.

        :raises StackError: there is none.
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        value = self.get(path)["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> list[str]:
        """The lines that one try of a task wrote, without Airflow's own headings."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.get(path, map_index=map_index, full_content=True)["content"]
        return log_lines(content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._send(method, path, **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = None  # it has expired; a stack that is kept up outlives its tokens
            answer = self._send(method, path, **arguments)
        for _ in range(LOCKED_TRIES - 1):
            if not _is_locked(answer):
                break
            time.sleep(LOCKED_SECONDS)
            answer = self._send(method, path, **arguments)
        if answer.is_error:
            raise StackError(f"Airflow answered {method} {path} with {answer.status_code}: {_detail(answer)}")
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            if self._token is None:
                self._token = self._new_token()
            headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
            return self._client.request(method, f"/api/v2/{path.lstrip('/')}", headers=headers, **arguments)
        except httpx.HTTPError as error:
            raise StackError(f"Airflow's API server at {self.url} does not answer {method} {path}: {error}") from error

    def _new_token(self) -> str:
        if self._password is None:
            answer = self._client.get("/auth/token")
        else:
            answer = self._client.post("/auth/token", json={"username": "admin", "password": self._password})
        return str(answer.raise_for_status().json()["access_token"])


def log_lines(content: Iterable[Any]) -> list[str]:
    """The messages of a structured log, without its closed groups (Airflow's own preparations).

    A group that was never closed is kept: the task died in it. Of a traceback the error and its place are kept.
    """
    lines: list[str] = []
    group_start: int | None = None
    for entry in content:
        if not isinstance(entry, dict):
            lines.append(str(entry))
            continue
        event = str(entry.get("event", ""))
        if event.startswith("::group::"):
            group_start = len(lines)
        elif event == "::endgroup::":
            if group_start is not None:
                del lines[group_start:]
            group_start = None
        else:
            lines += event.splitlines()
            for error in entry.get("error_detail") or ():
                where = "".join(f" ({at['filename']}:{at['lineno']})" for at in error.get("frames", ())[-1:])
                lines.append(f"{error['exc_type']}: {error['exc_value']}{where}")
    return lines


def _is_locked(answer: httpx.Response) -> bool:
    """Whether Airflow's transaction failed and was rolled back: SQLite refuses to write while others do."""
    return answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Database error" in answer.text


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("detail", answer.text))
    except (ValueError, AttributeError):
        return answer.text[:500]
