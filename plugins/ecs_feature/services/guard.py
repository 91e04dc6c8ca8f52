"""Keeps the services of a run at what it holds while its shards run, whatever else writes to them.

Terraform removes tags, somebody resets a desired count, an autoscaler goes down, a deployment replaces tasks: between
``services_steady`` and ``scale_down`` no task of the run would notice, but its shards wait in a triggerer. So the
shards of one run and variant share one guard in each triggerer. It takes no task and no worker slot, ends with the last
shard and starts again with them in another triggerer.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.errors import translate
from ecs_feature.aws.resources import EcsService
from ecs_feature.detached import spawn_detached
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.services.client import EcsServices
from ecs_feature.services.lease_steps import Call
from ecs_feature.services.leases import SharingPolicy, policy_of
from ecs_feature.services.run_lease import RunLease

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 10.0
"""Before the first look: ``services_steady`` has just looked, and a triggerer that starts shards is busy."""
GUARD_SECONDS: Final = 30.0
"""Between two looks, of three calls a service. With the calls that put things right, and the start of a task, it stays
below a minute; on two busy cores 40 s did so barely."""
AGAIN_SECONDS: Final = 10.0
"""Before the next look when AWS could not be asked: a look that fails must not cost the service a second period."""
TELL_SECONDS: Final = 60.0
"""How often the shards are told why a service cannot be looked at."""
CLOSE_SECONDS: Final = 20.0
"""How long the last shard waits for a call that is under way: a lease written after the release would stay."""
MAX_LOGS: Final = 10
"""Shards in whose logs a line is written; a thousand at once would stop the triggerer for seconds."""
MAX_NAMED: Final = 3
"""Replaced tasks that are named in one line."""


def _may_be_active(holder: str) -> bool:
    """The guard ends no other run's lease: it cannot ask Airflow about runs."""
    return True


class GuardClosedError(EcsFeatureError):
    """The last shard has gone; nothing more is written."""


@dataclass(eq=False)
class _Services(EcsServices):
    """Services whose calls stop when the guard closes."""

    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.sleep = self._pause

    def _pause(self, seconds: float) -> None:
        self.closing.wait(seconds)

    def _call(self, call: Call) -> Any:
        if self.closing.is_set():
            raise GuardClosedError(f"{call.method} is not made any more.")
        return super()._call(call)


@dataclass(eq=False)
class _Seen:
    """What the guard knows of one service.

    :param looked: when it was last looked at with success; before that, when the guard began.
    :param applied: the policy that its tag had then.
    :param deployment: the id of the deployment that it had then.
    :param trouble: why it could not be looked at, as it was told last; ``told``: when that was.
    """

    looked: datetime
    applied: SharingPolicy | None = None
    deployment: str = ""
    trouble: str = ""
    told: datetime | None = None

    def lost(self, trouble: str, now: datetime) -> bool:
        """It could not be looked at; return whether to tell why: something new, and at most once a minute."""
        due = self.told is None or now - self.told >= timedelta(seconds=TELL_SECONDS)
        if trouble == self.trouble or not due:
            return False
        self.trouble, self.told = trouble, now
        return True

    def found(self) -> None:
        self.trouble, self.told = "", None


@dataclass(eq=False)
class ServiceGuard:
    """The guard of one run and variant in one triggerer; shared through :func:`guarded`.

    It never waits in a thread: the threads of the event loop are few, and its name look-ups use the same ones.
    """

    lease: RunLease
    aws: AwsConnection
    _logs: dict[object, tuple[contextvars.Context, Any]] = field(default_factory=dict)
    _closing: threading.Event = field(default_factory=threading.Event)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: asyncio.Task[None] | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _blind: bool = False

    def open(self) -> None:
        self._watching = spawn_detached(self._watch())

    def enter(self, member: object, task_log: Any) -> None:
        # Airflow finds a task's log by the context, so a line is written in the one of its shard.
        self._logs[member] = (contextvars.copy_context(), task_log)

    def leave(self, member: object) -> bool:
        """Whether that was the last one."""
        del self._logs[member]
        return not self._logs

    async def close(self) -> None:
        """Look no more; returns when no call is under way, or after twenty seconds."""
        self._closing.set()
        self._closed.set()
        if self._watching is not None:
            await asyncio.wait({self._watching}, timeout=CLOSE_SECONDS)
            self._watching.cancel()

    async def _watch(self) -> None:
        services: _Services | None = None
        seconds = FIRST_SECONDS
        while not await self._closed_within(seconds):
            try:
                services = services or await sync_to_async(self._open_services)()
                lines = await asyncio.to_thread(self.look, services)
            except Exception as error:  # a guard never fails a shard, nor ends before it
                log.warning("Services of %s: the guard could not look: %r", self.lease.holder, error)
                services, seconds = None, AGAIN_SECONDS
                continue
            seconds = AGAIN_SECONDS if self._blind else GUARD_SECONDS
            if self._blind:
                services = None  # their credentials may have expired
            for line in lines:
                self._tell(line)

    async def _closed_within(self, seconds: float) -> bool:
        """Whether it was closed within that time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
        return self._closed.is_set()

    def _open_services(self) -> _Services:
        ecs, scaling = (self.aws.client(name) for name in ("ecs", "application-autoscaling"))
        cluster = self.lease.cluster
        return _Services(ecs, cluster, None, scaling, _may_be_active, closing=self._closing)

    def look(self, services: EcsServices) -> list[str]:
        """Look at every service once, put right what is wrong; returns what to tell."""
        lines: list[str] = []
        self._blind = False
        for name in self.lease.counts:
            seen = self._seen.setdefault(name, _Seen(services.now()))
            try:
                lines += self._look_at(services, name, seen)
                seen.found()
            except GuardClosedError:
                return lines
            except Exception as error:  # an answer without sense, too, must not hide the other services
                self._blind = True
                trouble = str(translate(error))
                if seen.lost(trouble, services.now()):
                    lines.append(f"{trouble} The shards go on; the service is looked at again.")
        return lines

    def _look_at(self, services: EcsServices, name: str, seen: _Seen) -> list[str]:
        now, lines = services.now(), []
        changed, service = self.lease.hold(services, name, seen.applied)
        seen.applied = policy_of(service.tags)
        if changed:
            lines.append(
                f"Service {name}: something else has changed it: {changed}; desired count is {service.desired}."
            )
        lines += self._replaced(services, service, seen)
        seen.looked = now
        return lines

    def _replaced(self, services: EcsServices, service: EcsService, seen: _Seen) -> list[str]:
        """What is told of tasks that are not those of the last look."""
        lines = []
        before, seen.deployment = seen.deployment or service.deployment_id, service.deployment_id
        if service.deployment_id != before:
            lines.append(f"Service {service.name}: deployment {service.deployment_id} has begun to replace its tasks.")
        if dead := services.deaths(service, seen.looked):
            named = "; ".join(task.stop_summary() for task in dead[-MAX_NAMED:])
            lines.append(f"Service {service.name}: {len(dead)} of its tasks ended while shards ran: {named}.")
        return lines

    def _tell(self, line: str) -> None:
        log.warning("%s: %s", self.lease.holder, line)
        for context, task_log in list(self._logs.values())[:MAX_LOGS]:
            context.run(task_log.warning, "%s", line)


_Key = tuple[str, str, AwsConnection]
_guards: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, ServiceGuard]] = WeakKeyDictionary()


@asynccontextmanager
async def guarded(run_lease: Mapping[str, Any], aws: AwsConnection, task_log: Any) -> AsyncIterator[None]:
    """Context manager: the run's services are guarded; the first shard starts the guard, the last one ends it.

    :param run_lease: :meth:`RunLease.to_dict`; empty: the variant has no services.
    :param task_log: the shard's log; what was put right is written to the logs of up to ten shards.
    """
    if not run_lease:
        yield
        return
    guards = _guards.setdefault(asyncio.get_running_loop(), {})
    lease = RunLease.from_dict(run_lease)
    key = (lease.cluster, lease.holder, aws)
    guard = guards.get(key)
    if guard is None:
        guard = guards[key] = ServiceGuard(lease, aws)
        guard.open()
    member = object()
    guard.enter(member, task_log)
    try:
        yield
    finally:
        if guard.leave(member):
            del guards[key]
            await guard.close()
