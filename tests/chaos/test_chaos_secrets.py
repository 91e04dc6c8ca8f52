"""No secret reaches a log, an XCom, a tag, an override or a trigger: markers are planted, everything is searched."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from devstack import airflow
from devstack.chaos import world
from devstack.chaos.scenarios import SERVICE_FAMILY
from devstack.stack import Stack

from . import leak_search

DAG_ID, CLUSTER = "chaos_secrets", "chaos-secrets"
RUN_SECONDS = 180


@dataclass(frozen=True)
class Left:
    """What a run has left behind, and what must not be in it."""

    state: str
    texts: Mapping[str, str]
    markers: Mapping[str, str]
    triggers: tuple[str, ...]


@pytest.fixture(scope="module")
def left(chaos_stack: Any) -> Left:
    stack: Stack = chaos_stack.stack
    keys = airflow.load_secrets(stack.home)
    planted = {
        name: f"{name.replace(' ', '')}{secrets.token_hex(12)}"
        for name in ("secret key of the connection", "token of the connection", "secret", "parameter")
    }
    plant(stack, planted)
    run_id = stack.trigger(DAG_ID, datetime(2013, 1, 1, tzinfo=UTC))
    triggers: set[str] = set()
    deadline = time.monotonic() + RUN_SECONDS
    while (state := stack.api.run_state(DAG_ID, run_id)) not in ("success", "failed"):
        assert time.monotonic() < deadline, f"the run is still {state}"
        triggers |= set(leak_search.trigger_texts(chaos_stack.database_url, keys.fernet_key))
        time.sleep(0.2)
    markers = {
        **planted,
        "variable of the processes": chaos_stack.process_secret,
        "Fernet key": keys.fernet_key,
        "key of the tokens": keys.jwt_secret,
        "key of the API server": keys.api_secret_key,
        "password of the database": chaos_stack.database_url.split(":")[2].partition("@")[0],
    }
    return Left(state, leak_search.places(stack, chaos_stack.database_url, triggers), markers, tuple(sorted(triggers)))


def plant(stack: Stack, planted: Mapping[str, str]) -> None:
    """Put the secrets where users put them: a connection, Secrets Manager, and a SecureString of Parameter Store."""
    stack.api.post(
        "/connections",
        {
            "connection_id": "aws_secret",
            "conn_type": "aws",
            "login": "local",
            "password": planted["secret key of the connection"],
            "extra": json.dumps({"region_name": "us-east-1", "aws_session_token": planted["token of the connection"]}),
        },
    )
    secret = stack.client("secretsmanager").create_secret(Name="chaos/password", SecretString=planted["secret"])
    parameters = stack.client("ssm")
    parameters.put_parameter(Name="/chaos/key", Type="SecureString", Value=planted["parameter"])
    values = json.loads(stack.environment_file.read_text())
    values |= {
        "CHAOS_SECRET_ARN": secret["ARN"],
        "CHAOS_PARAMETER_ARN": parameters.get_parameter(Name="/chaos/key")["Parameter"]["ARN"],
    }
    stack.environment_file.write_text(json.dumps(values))
    ecs = stack.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    world.make_service(ecs, CLUSTER, CLUSTER, world.register(ecs, SERVICE_FAMILY, values), values)


def test_the_run_succeeds_after_a_failure_and_its_containers_had_their_secrets(left: Left) -> None:
    assert left.state == "success"
    assert "SecretString" not in left.texts["ECS tasks"]


@pytest.mark.parametrize(
    "place",
    [
        "ECS tasks", "AWS calls", "container logs", "triggers", "table xcom", "table task_instance",
        "table serialized_dag",
    ],
)  # fmt: skip
def test_the_search_sees_what_is_in_a_place(left: Left, place: str) -> None:
    assert leak_search.found({place: left.texts[place]}, {"canary": "canary-failing"}) == [f"canary in {place}"]


def test_the_search_sees_what_airflow_has_rendered_which_a_shard_has_nothing_of(left: Left) -> None:
    rendered = left.texts["table rendered_task_instance_fields"]
    assert "/chaos/secrets/" in rendered  # the place that is published to
    assert "canary-failing" not in rendered


def test_a_secret_that_a_pipeline_gives_away_is_found_wherever_it_went(left: Left, chaos_stack: Any) -> None:
    found = leak_search.found(left.texts, {"given away": chaos_stack.leaked_secret})
    assert {f"given away in {place}" for place in ("ECS tasks", "AWS calls", "table serialized_dag")} <= set(found)
    # Named shards have their arguments in the DAG alone.
    assert "given away in triggers" not in found


def test_the_search_sees_the_task_logs_and_the_triggers_reprs(left: Left) -> None:
    logs = {place: text for place, text in left.texts.items() if place.startswith("file airflow/logs/dag_id=")}
    assert any("canary-failing" in text for text in logs.values())
    assert any("ShardTrigger" in text for text in left.triggers)
    components = {"file logs/scheduler.log", "file logs/triggerer-1.log", "file logs/triggerer-2.log"}
    assert components <= set(left.texts)


@pytest.mark.parametrize("form", [0, 1, 2, 3], ids=["plain", "base64", "base64 moved by 1", "base64 moved by 2"])
def test_the_search_finds_a_secret_in_every_form(left: Left, form: int) -> None:
    marker = left.markers["secret"]
    text = f"... {leak_search.forms(marker)[form]} ..."
    assert leak_search.found({**left.texts, "a tag": text}, {"secret": marker}) == ["secret in a tag"]


def test_no_secret_is_anywhere(left: Left) -> None:
    assert leak_search.found(left.texts, left.markers) == []
