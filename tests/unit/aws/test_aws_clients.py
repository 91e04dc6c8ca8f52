"""The clients of a fleet come from one look-up of the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk import Connection

from ecs_feature.aws.clients import AwsClients
from ecs_feature.aws.connection import AwsConnection
from ecs_feature.hooks.ecs import DIRECT_CONFIG, EcsFeatureHook


class LookedUp:
    """Airflow's connections: counts how often one is looked up."""

    def __init__(self, *answers: Any) -> None:
        self.times = 0
        self.answers = list(answers)

    def __call__(self, conn_id: str) -> Connection:
        self.times += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Connection(conn_id=conn_id, conn_type="aws", login="key", password="secret", extra=answer)


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> LookedUp:
    looked_up = LookedUp('{"region_name": "eu-west-1", "config_kwargs": {"retries": {"total_max_attempts": 9}}}')
    monkeypatch.setattr(EcsFeatureHook, "get_connection", looked_up)
    return looked_up


async def test_all_clients_of_a_fleet_cost_one_look_up_of_the_connection(look_ups: LookedUp) -> None:
    clients = AwsClients(AwsConnection())
    ecs, direct, logs, s3 = await asyncio.gather(
        clients.get("ecs"),
        clients.get("ecs", direct=True),
        clients.get("logs", region="us-east-2", direct=True),
        clients.get("s3"),
    )
    try:
        assert look_ups.times == 1
        assert await clients.get("ecs") is ecs
        assert [each.meta.region_name for each in (ecs, direct, logs, s3)] == [
            "eu-west-1", "eu-west-1", "us-east-2", "eu-west-1",
        ]  # fmt: skip
        assert ecs.meta.config.retries["total_max_attempts"] == 9
        assert direct.meta.config.retries == DIRECT_CONFIG.retries
        assert [each._get_credentials().access_key for each in (ecs, logs)] == ["key", "key"]
    finally:
        await clients.close()


async def test_a_connection_that_could_not_be_looked_up_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = LookedUp(ConnectionError("no database"), '{"region_name": "eu-west-1"}')
    monkeypatch.setattr(EcsFeatureHook, "get_connection", looked_up)
    clients = AwsClients(AwsConnection())
    with pytest.raises(ConnectionError, match="no database"):
        await clients.get("ecs")
    try:
        assert (await clients.get("ecs")).meta.region_name == "eu-west-1"
        assert looked_up.times == 2
    finally:
        await clients.close()
