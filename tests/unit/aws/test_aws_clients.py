"""The clients of a fleet come from one look-up of the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk import Connection

from ecs_feature.aws.clients import RENEW_SECONDS, AwsClients, RenewedClients
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


async def test_a_late_failure_does_not_drop_the_client_that_was_made_after_it() -> None:
    """Two callers wait for one failing look-up; the first has begun another when the second hears of the failure."""
    clients, makings = AwsClients(AwsConnection()), []

    def make() -> Any:
        makings.append(asyncio.get_running_loop().create_future())
        return wait(makings[-1])

    async def wait(future: Any) -> Any:
        return await future

    async def again() -> Any:
        try:
            return await clients._once(("ecs",), make)
        except OSError:
            return await clients._once(("ecs",), make)

    callers = [asyncio.create_task(again()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    makings[0].set_exception(OSError())
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(makings) == 2
    makings[1].set_result("client")
    assert await asyncio.gather(*callers) == ["client"] * 3


async def test_renewed_clients_have_the_connections_new_credentials_and_many_callers_share_one_renewal(
    look_ups: LookedUp,
) -> None:
    now = 100.0
    clients = RenewedClients(AwsConnection(), clock=lambda: now)
    try:
        old = await clients.get("ecs")
        await asyncio.gather(*(clients.renew() for _ in range(50)))
        new = await clients.get("ecs")
        assert new is not old
        assert look_ups.times == 2
        await clients.renew()
        assert look_ups.times == 2
        now += RENEW_SECONDS
        await clients.renew()
        assert look_ups.times == 3
        assert await clients.get("ecs") not in (old, new)
    finally:
        await clients.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_the_old_clients_stay_when_no_new_ones_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = LookedUp('{"region_name": "eu-west-1"}', ConnectionError("no database"))
    monkeypatch.setattr(EcsFeatureHook, "get_connection", looked_up)
    clients = RenewedClients(AwsConnection())
    try:
        old = await clients.get("ecs")
        await clients.renew()
        assert looked_up.times == 2
        assert await clients.get("ecs") is old
    finally:
        await clients.close()
