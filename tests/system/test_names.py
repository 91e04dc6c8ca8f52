"""Shards with hostile names on a real Airflow and the local Fargate: run, retried, rerun by name, published, read."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecs_feature.results.reader import Manifest, read_manifest
from ecs_feature.shards.names import shard_id

DAG_ID = "hostile_names"
NAMES: list[str] = json.loads((Path(__file__).parent / "hostile_names.json").read_text(encoding="utf-8"))
DAY = datetime(2013, 6, 1, tzinfo=UTC)
AGAIN = datetime(2013, 6, 1, 1, tzinfo=UTC)
"""Another moment of the same day, for a run of chosen shards."""
CHOSEN = ["東京", "a/b/../c", "New York"]
RUN_SECONDS = 300


class Published:
    """What readers find after each of two runs of one day: of all shards, and of three by name."""

    def __init__(self, stack: Any) -> None:
        self.stack, self.s3 = stack, stack.client("s3")
        self.first_id = stack.run(DAG_ID, DAY)
        self.state = stack.wait(self.first_id, RUN_SECONDS)
        self.first = self.manifest()
        self.second_id = stack.run(DAG_ID, AGAIN, {"shards": CHOSEN})
        self.second_state = stack.wait(self.second_id, RUN_SECONDS)
        self.second = self.manifest()

    def manifest(self) -> Manifest:
        return read_manifest(f"s3://ecs-feature-local/hostile/ds={DAY:%Y-%m-%d}", s3=self.s3)

    def read(self, uri: str) -> str:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return str(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())


@pytest.fixture(scope="module")
def published(stack: Any) -> Published:
    return Published(stack)


def test_all_run_one_is_retried_and_each_is_found_by_its_own_name(published: Published) -> None:
    assert published.state == "success"
    assert set(published.first.shards) == set(NAMES)
    assert published.first.missing == []
    assert [published.read(published.first.uris(name)[0]) for name in NAMES] == NAMES
    tasks = published.stack.tasks(published.first_id)
    tries = {name: tasks[f"shards.{shard_id(name)}"]["try_number"] for name in NAMES}
    assert Counter(tries.values()) == {1: len(NAMES) - 1, 2: 1}
    assert tries["New York"] == 2


def test_airflow_shows_the_names(published: Published) -> None:
    tasks = published.stack.tasks(published.first_id)
    shown = {tasks[f"shards.{shard_id(name)}"]["task_display_name"] for name in NAMES}
    assert shown == {name if shard_id(name) != name else f"shards.{name}" for name in NAMES}


def test_three_are_rerun_by_name_and_the_others_keep_their_files(published: Published) -> None:
    assert published.second_state == "success"
    states = {name: published.stack.tasks(published.second_id)[f"shards.{shard_id(name)}"]["state"] for name in NAMES}
    assert {name for name, state in states.items() if state == "success"} == set(CHOSEN)
    for name in NAMES:
        same = published.first.uris(name) == published.second.uris(name)
        assert same is (name not in CHOSEN), name


def test_the_receipt_and_the_records_have_the_names(published: Published) -> None:
    receipt = published.stack.api.xcom(DAG_ID, published.first_id, "receipt")
    launched = Counter(launch["shard"] for launch in receipt["variants"][""]["launches"])
    assert launched == Counter({name: 1 + (name == "New York") for name in NAMES})
