"""Everything that a run leaves behind, as text by place, and a search in it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg2
from cryptography.fernet import Fernet

from devstack.stack import Stack

PLANTING = frozenset({"CreateSecret", "PutSecretValue", "PutParameter"})
"""Calls with which the secrets were put where they belong."""
KEPT_AWAY = frozenset({"secrets.json"})
"""Files in which the stack keeps its own keys and its database's address; no run writes them."""


def places(stack: Stack, database_url: str, triggers: Iterable[str]) -> dict[str, str]:
    """The text of every place that a run writes to.

    :param triggers: what was seen of triggers while they lived.
    """
    door = stack.side_door
    calls = [call for call in all_calls(stack) if call["operation"] not in PLANTING]
    return {
        **{f"file {path.relative_to(stack.folder)}": _text(path) for path in _files(stack.folder)},
        **{f"table {name}": text for name, text in tables(database_url).items()},
        "triggers": "\n".join(triggers),
        "ECS tasks": json.dumps(door.tasks()),
        "AWS calls": json.dumps(calls),
        "container logs": "\n".join(_container_logs(stack)),
        "task definitions": json.dumps(_task_definitions(stack), default=str),
    }


def found(texts: Mapping[str, str], markers: Mapping[str, str]) -> list[str]:
    """Where which marker is, as it is or in base64, like ``password of the connection in table xcom``."""
    return [
        f"{name} in {place}"
        for place, text in texts.items()
        for name, marker in markers.items()
        if any(form in text for form in forms(marker))
    ]


def forms(marker: str) -> list[str]:
    """A marker, and what base64 makes of it at each of the three places it can stand in a longer text."""
    encoded = []
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + marker.encode()).decode()
        encoded.append(whole[4 if offset else 0 : -4])
    return [marker, *encoded]


def trigger_texts(database_url: str, fernet_key: str) -> list[str]:
    """The triggers that are in the database now, decrypted, and their repr."""
    from airflow.sdk.module_loading import import_string
    from airflow.sdk.serde import deserialize

    texts = []
    for classpath, encrypted in _rows(database_url, "SELECT classpath, kwargs FROM trigger"):
        # What a task defers with is stored as it is, what the scheduler starts with is encrypted.
        is_plain = encrypted.startswith("{")
        plain = encrypted if is_plain else Fernet(fernet_key).decrypt(encrypted.encode()).decode()
        trigger = import_string(classpath)(**deserialize(json.loads(plain)))
        texts.append(f"{plain}\n{trigger!r}\n{trigger.serialize()}")
    return texts


def tables(database_url: str) -> dict[str, str]:
    """Every table of Airflow's database as text; what is in bytes (compressed or encrypted) as its escapes."""
    names = _rows(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    texts = {}
    with psycopg2.connect(_dsn(database_url)) as connection, connection.cursor() as cursor:
        for (name,) in names:
            buffer = io.StringIO()
            cursor.copy_expert(f'COPY "{name}" TO STDOUT', buffer)
            texts[name] = buffer.getvalue()
    return texts


def all_calls(stack: Stack) -> list[dict[str, Any]]:
    """Every AWS call that the local Fargate got, with its request."""
    return [call for operation in stack.side_door.counts() for call in stack.side_door.calls(operation)]


def _rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg2.connect(_dsn(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _dsn(database_url: str) -> str:
    return database_url.replace("postgresql+psycopg2://", "postgresql://")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in KEPT_AWAY)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def _container_logs(stack: Stack) -> list[str]:
    logs = stack.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/ecs/features")
    return [event["message"] for page in pages for event in page["events"]]


def _task_definitions(stack: Stack) -> list[Any]:
    ecs = stack.client("ecs")
    arns = [arn for page in ecs.get_paginator("list_task_definitions").paginate() for arn in page["taskDefinitionArns"]]
    return [ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"]) for arn in arns]
