"""The guard that the shards of a run share in a triggerer."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lease_world import CLUSTER, SERVICE, World, acquiring

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.resources import EcsService, EcsTask
from ecs_feature.exceptions import AwsError, EcsFeatureError
from ecs_feature.services import guard as module
from ecs_feature.services.guard import MAX_LOGS, TELL_SECONDS, GuardClosedError, ServiceGuard, _Services, guarded
from ecs_feature.services.lease_steps import REASSERT_SECONDS, Call
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.services.run_lease import RunLease

LEASE = RunLease(CLUSTER, "dag/run/control", {SERVICE: 2}, {SERVICE: SharingPolicy(baseline=0, cap=9)}, 3600.0)
AWS = AwsConnection(None)
SHARD: contextvars.ContextVar[str] = contextvars.ContextVar("shard")


class Log:
    """A shard's log: which shard's context each line was written in."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def warning(self, message: str, *arguments: Any) -> None:
        self.lines.append((SHARD.get("nobody's"), message % arguments))


class Service(_Services):
    """One service of the lease world."""

    def __init__(self, world: World, closing: threading.Event | None = None) -> None:
        super().__init__(None, CLUSTER, closing=closing or threading.Event(), now=lambda: world.now)
        self.world, self.dead, self.refused = world, [], None  # type: ignore[var-annotated]

    def _call(self, call: Call) -> Any:
        if self.closing.is_set():
            raise GuardClosedError("closed")
        if self.refused is not None:
            raise self.refused
        return self.world.call(call)

    def deaths(self, service: EcsService, since: datetime) -> list[EcsTask]:
        return [task for task in self.dead if task.stopped_at > since]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "GUARD_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)


def leased() -> World:
    world = World()
    acquiring(world, LEASE.holder, 2).finish()
    return world


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the guard works in a thread
            await asyncio.sleep(0.005)


def test_a_lease_survives_being_a_triggers_argument() -> None:
    assert RunLease.from_dict(LEASE.to_dict()) == LEASE


@pytest.mark.usefixtures("quick")
async def test_shards_share_a_guard_which_puts_right_and_tells_each_in_its_own_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, opened, log = leased(), [], Log()
    monkeypatch.setattr(
        ServiceGuard, "_open_services", lambda self: opened.append(self) or Service(world, self._closing)
    )
    stop = asyncio.Event()

    async def shard(name: str) -> None:
        SHARD.set(name)
        async with guarded(LEASE.to_dict(), AWS, log):
            await stop.wait()

    shards = [asyncio.create_task(shard(name)) for name in ("AA", "UA")]
    await until(lambda: opened)
    world.meddle(tags="ecs-feature:", count=0)
    await until(lambda: log.lines)
    stop.set()
    await asyncio.gather(*shards)
    said = (
        "Service encoder: something else has changed it: its policy tag and the run's lease were gone; leased 2 again; "
        "desired count is 2."
    )
    assert sorted(log.lines) == [("AA", said), ("UA", said)]
    assert len(opened) == 1
    assert world.held == 2
    world.meddle(count=0)
    await asyncio.sleep(0.1)
    assert world.held == 0  # the last shard has gone: nobody looks any more


@pytest.mark.usefixtures("quick")
async def test_a_guard_that_cannot_look_fails_no_shard_and_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, tries = leased(), []

    def open_services(guard: ServiceGuard) -> Service:
        tries.append(guard)
        if len(tries) < 3:
            raise KeyError("our own bug")
        return Service(world)

    monkeypatch.setattr(ServiceGuard, "_open_services", open_services)
    async with guarded(LEASE.to_dict(), AWS, Log()):
        world.meddle(count=0)
        await until(lambda: world.held == 2)
    assert len(tries) == 3


@pytest.mark.usefixtures("quick")
async def test_the_last_shard_waits_for_the_call_under_way_and_nothing_is_written_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, calls, go_on = World(), [], threading.Event()

    class Slow(Service):
        def _call(self, call: Call) -> Any:
            answer = super()._call(call)
            calls.append(call.method)
            go_on.wait(5)
            return answer

    monkeypatch.setattr(ServiceGuard, "_open_services", lambda self: Slow(world, self._closing))
    async with guarded(LEASE.to_dict(), AWS, Log()):
        await until(lambda: calls)
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert go_on.is_set()
    assert calls == ["describe_services"]
    assert world.leases == {}


async def test_a_variant_without_services_has_no_guard() -> None:
    async with guarded({}, AWS, Log()):
        assert not module._guards.get(asyncio.get_running_loop())


async def test_a_run_of_a_thousand_shards_is_told_in_the_logs_of_ten() -> None:
    guard, log = ServiceGuard(LEASE, AWS), Log()
    for number in range(1000):
        guard.enter(number, log)
    guard._tell("changed")
    assert len(log.lines) == MAX_LOGS


async def test_replaced_tasks_and_deployments_are_told_once_with_the_reason() -> None:
    world, guard = leased(), ServiceGuard(LEASE, AWS)
    services = Service(world)
    services.dead = [_dead("before", -60)]
    assert guard.look(services) == []
    services.dead += [_dead(name, 1) for name in ("t1", "t2", "t3", "t4")]
    world.now += timedelta(seconds=40)
    said = "Task failed ELB health checks in (target-group tg)"
    assert guard.look(services) == [
        f"Service encoder: 4 of its tasks ended while shards ran: task t2: {said}; task t3: {said}; task t4: {said}."
    ]
    world.now += timedelta(seconds=40)
    world.service.deployments[0].id = "ecs-svc/9"
    assert guard.look(services) == ["Service encoder: deployment ecs-svc/9 has begun to replace its tasks."]
    assert guard.look(services) == []


async def test_what_is_refused_again_and_again_is_told_once() -> None:
    world = leased()
    guard, services = ServiceGuard(LEASE, AWS), Service(world)
    refused: EcsFeatureError = AwsError("DescribeServices was denied.")
    services.refused = refused
    assert guard.look(services) == ["DescribeServices was denied. The shards go on; the service is looked at again."]
    assert guard.look(services) == []
    services.refused = None
    assert guard.look(services) == []
    services.refused = refused
    assert len(guard.look(services)) == 1
    # Every look fails in another way: told once a minute, and not in as many lines as there are ways.
    services.refused = AwsError("DescribeServices timed out.")
    assert guard.look(services) == []
    world.now += timedelta(seconds=TELL_SECONDS)
    assert len(guard.look(services)) == 1


def test_a_service_of_which_aws_says_nonsense_does_not_hide_the_next_one() -> None:
    """And the deaths of the time in which it could not be seen are told when it can."""
    world, nonsense = leased(), [True]
    lease = RunLease(CLUSTER, LEASE.holder, {"other": 1, SERVICE: 2}, LEASE.policies, 3600.0)
    guard, services = ServiceGuard(lease, AWS), Service(world)
    call = services._call

    def answered(step: Call) -> Any:
        if "other" in step.subject or nonsense[0]:
            raise KeyError("services")
        return call(step)

    services._call = answered  # type: ignore[method-assign]
    world.meddle(count=0)
    said = "AWS could not be asked: KeyError: 'services'. The shards go on; the service is looked at again."
    assert guard.look(services) == [said, said]
    services.dead = [_dead("t1", 1)]
    world.now += timedelta(seconds=10)
    nonsense[0] = False
    assert guard.look(services)[0].startswith("Service encoder: something else has changed it: its desired count was 0")
    assert world.held == 2
    assert guard._blind
    guard.lease = LEASE
    services.dead.append(_dead("t2", 11))
    world.now += timedelta(seconds=10)
    assert "task t2" in guard.look(services)[0]
    assert not guard._blind


async def test_after_a_look_that_failed_the_next_comes_soon_with_new_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials may have expired; and another period more would make it longer than a minute."""
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.02)
    world, opened = leased(), []

    def open_services(guard: ServiceGuard) -> Service:
        services = Service(world)
        services.refused = AwsError("The token has expired.", "ExpiredTokenException") if len(opened) < 3 else None
        opened.append(services)
        return services

    monkeypatch.setattr(ServiceGuard, "_open_services", open_services)
    async with guarded(LEASE.to_dict(), AWS, Log()):
        world.meddle(count=0)
        await until(lambda: world.held == 2)
    assert len(opened) == 4


def test_a_look_that_writes_the_lease_again_lowers_nothing_for_a_minute_and_never_waits() -> None:
    """Other runs have lost theirs as well. The threads of an event loop are few: one that waits blocks the others."""
    world, slept = World(), []
    acquiring(world, LEASE.holder, 2).finish()
    acquiring(world, "another/run", 3).finish()
    guard, services = ServiceGuard(LEASE, AWS), Service(world)
    services.sleep = slept.append
    world.meddle(tags="ecs-feature:")
    assert len(guard.look(services)) == 1
    assert (world.held, world.of(LEASE.holder)[0].count) == (5, 2)
    world.now += timedelta(seconds=REASSERT_SECONDS - 1)
    guard.look(services)
    assert world.held == 5
    world.now += timedelta(seconds=1)
    guard.look(services)
    assert world.held == 2  # the other one did not write its lease again: it has ended
    assert slept == []


def test_a_count_that_is_too_low_is_raised_also_within_that_minute() -> None:
    world = leased()
    guard, services = ServiceGuard(LEASE, AWS), Service(world)
    world.meddle(tags="ecs-feature:")
    guard.look(services)
    world.meddle(count=0)
    world.now += timedelta(seconds=10)
    assert len(guard.look(services)) == 1
    assert world.held == 2


def test_a_closed_guards_services_call_no_more_and_wait_no_more() -> None:
    closing = threading.Event()
    services = _Services(None, CLUSTER, closing=closing)
    closing.set()
    with pytest.raises(GuardClosedError):
        services.settle(SERVICE)
    services.sleep(3600)


def _dead(name: str, seconds: int) -> EcsTask:
    stopped = datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    reason = "Task failed ELB health checks in (target-group tg)"
    return EcsTask(f"arn/{name}", "", "", "STOPPED", "STOPPED", stopped_reason=reason, stopped_at=stopped)
