"""A container's health check, without loading Airflow: ends with 0 when the component of this container is healthy.

``healthy.py metadatabase`` asks Airflow's monitor; ``healthy.py job TYPE`` whether this very container's job has a
heartbeat, so one that is there but hangs is found, and one of two triggerers does not cover for the other;
``healthy.py worker`` pings this container's Celery worker; ``healthy.py metrics`` asks for its page.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

API = "http://api-server:8080"
METRICS = "http://127.0.0.1:9105/health"
KEYS = Path("/var/lib/stack/keys")
SECONDS = 5


def status(component: str, api: str = API) -> str:
    """What Airflow's monitor says of ``metadatabase``, ``scheduler``, ``triggerer`` or ``dag_processor``.

    :raises OSError: the API server does not answer.
    :raises KeyError: it knows no such component.
    """
    return str(_json(f"{api}/api/v2/monitor/health")[component]["status"])


def has_heartbeat(job_type: str, host: str, api: str = API, keys: Path = KEYS) -> bool:
    """Whether a host has a job of that type whose heartbeat is fresh.

    :raises OSError: the API server does not answer.
    """
    login = {"username": "admin", "password": (keys / "admin_password").read_text()}
    token = _json(f"{api}/auth/token", json.dumps(login).encode())["access_token"]
    query = urllib.parse.urlencode({"job_type": job_type, "hostname": host, "is_alive": "true"})
    found = _json(f"{api}/api/v2/jobs?{query}", token=token)
    return bool(found["total_entries"])


def answers_ping(host: str, keys: Path = KEYS) -> bool:
    """Whether the host's Celery worker answers within some seconds."""
    from celery import Celery

    with Celery(broker=(keys / "broker_url").read_text()) as app:
        return bool(app.control.ping(destination=[f"celery@{host}"], timeout=SECONDS))


def _json(url: str, body: bytes | None = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=SECONDS) as answer:
        return json.load(answer)


def main(component: str, *more: str) -> bool:
    """Whether it is healthy."""
    if component == "job":
        return has_heartbeat(more[0], socket.gethostname())
    if component == "worker":
        return answers_ping(socket.gethostname())
    if component == "metrics":
        return bool(_json(METRICS)["status"] == "healthy")
    return status(component) == "healthy"


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
