"""Target groups: who is behind each local load balancer, and who of them is healthy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import request_response

from fargate_local.balancer.proxy import NOT_SENT, exchange, plain
from fargate_local.errors import invalid
from fargate_local.listener import EVERYWHERE, Listener, bind, url_of
from fargate_local.resources import Service, Task
from fargate_local.runtimes.base import Runtime
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject

log = logging.getLogger("fargate_local")

IDLE_SECONDS: Final = 60
"""An Application Load Balancer's idle timeout (elasticloadbalancing/latest/application)."""
GRACE_SECONDS: Final = 2
"""What requests in flight have when the server ends: all targets have ended by then."""
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class HealthCheck:
    """The health check of a target group, as ELBv2 describes it."""

    path: str
    interval_seconds: float
    timeout_seconds: float
    healthy_threshold: int
    unhealthy_threshold: int
    matcher: str

    @classmethod
    def from_aws(cls, group: JsonObject) -> HealthCheck:
        return cls(
            path=group.get("HealthCheckPath") or "/",
            interval_seconds=float(group.get("HealthCheckIntervalSeconds") or 30),
            timeout_seconds=float(group.get("HealthCheckTimeoutSeconds") or 5),
            healthy_threshold=int(group.get("HealthyThresholdCount") or 5),
            unhealthy_threshold=int(group.get("UnhealthyThresholdCount") or 2),
            matcher=str(group.get("Matcher", {}).get("HttpCode") or "200"),
        )

    def accepts(self, status: int) -> bool:
        """Whether that HTTP status counts as healthy: the matcher is like "200", "200,202" or "200-299"."""
        for part in self.matcher.split(","):
            low, _, high = part.partition("-")
            if int(low) <= status <= int(high or low):
                return True
        return False


@dataclass
class Target:
    """One task behind a target group. `state` is initial, healthy, unhealthy or draining."""

    task: Task
    host: str
    port: int
    container_port: int
    state: str = "initial"
    checks: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass
class TargetGroup:
    """One target group, with its listener on this machine."""

    arn: str
    name: str
    url: str
    check: HealthCheck
    targets: dict[str, Target] = field(default_factory=dict)
    turn: int = 0

    def choose(self, tried: set[str]) -> Target | None:
        """The next healthy target in turn that was not tried yet."""
        healthy = [t for t in self.targets.values() if t.state == "healthy" and t.task.id not in tried]
        if not healthy:
            return None
        self.turn += 1
        return healthy[self.turn % len(healthy)]


class LoadBalancers:
    """All target groups of one server."""

    def __init__(
        self, settings: Settings, elbv2: Callable[[], Any], runtime: Runtime, on_change: Callable[[Service], None]
    ) -> None:
        """:param elbv2: a boto3 client; only called in worker threads."""
        self._settings = settings
        self._elbv2 = elbv2
        self._runtime = runtime
        self._on_change = on_change
        self._groups: dict[str, TargetGroup] = {}
        self._listeners: list[Listener] = []
        self._http = httpx.AsyncClient(trust_env=False, verify=False, timeout=IDLE_SECONDS)
        self._jobs: set[asyncio.Task[None]] = set()

    @property
    def urls(self) -> dict[str, str]:
        """The local address of each target group."""
        return {arn: group.url for arn, group in self._groups.items()}

    async def open(self, target_group_arn: str) -> None:
        """Listen for a target group; nothing happens when that is already so.

        :raises ApiError: InvalidParameterException, there is no such target group.
        """
        if target_group_arn in self._groups:
            return
        described = await asyncio.to_thread(self._describe, target_group_arn)
        if described is None:
            raise invalid(f"The target group with targetGroupArn {target_group_arn} does not exist.")
        name = described["TargetGroupName"]
        bound = self._bind(name)
        url = url_of(bound, self._settings.advertised_host)
        group = TargetGroup(target_group_arn, name, url, HealthCheck.from_aws(described))
        also = None if self._settings.host == EVERYWHERE else self._runtime.gateway
        gate = [] if also is None else [bind(also, bound.getsockname()[1])]
        for each in [bound, *gate]:
            listener = Listener(
                request_response(partial(self._forward, group)),
                each,
                date_header=False,
                server_header=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
            await listener.open()
            self._listeners.append(listener)
        self._groups[target_group_arn] = group

    def _bind(self, name: str) -> socket.socket:
        """A socket on the port that is the target group's own."""
        settings = self._settings
        if name in settings.load_balancer_ports or settings.load_balancer_range is None:
            return bind(settings.host, settings.load_balancer_ports.get(name, 0))
        for port in ports_of(name, *settings.load_balancer_range):
            with contextlib.suppress(OSError):
                return bind(settings.host, port)
        first, last = settings.load_balancer_range
        raise invalid(f"No port from {first} to {last} is free for the target group {name}.")

    def add(self, service: Service, task: Task) -> None:
        """A task of the service runs: check its health, and send it requests once it is healthy."""
        for balancer in service.load_balancers:
            group = self._groups.get(balancer["targetGroupArn"])
            if group is None or task.id in group.targets:
                continue
            host, port = self._runtime.endpoint(task.id, task.private_ip, balancer["containerPort"])
            target = Target(task, host, port, balancer["containerPort"])
            group.targets[task.id] = target
            target.checks = asyncio.create_task(self._check(service, group, target))

    def remove(self, task: Task) -> None:
        """The task ends: no further requests."""
        for group in self._groups.values():
            target = group.targets.pop(task.id, None)
            if target is None:
                continue
            if target.checks is not None:
                target.checks.cancel()
            if target.state == "healthy":
                self._in_background(self._deregister, group, target)
            target.state = "draining"

    def health(self, service: Service, task: Task, now: float) -> str:
        """healthy, unhealthy or initial, over all of the service's target groups.

        In `healthCheckGracePeriodSeconds` after its start a task is not unhealthy.
        """
        states = []
        for balancer in service.load_balancers:
            group = self._groups.get(balancer["targetGroupArn"])
            target = group.targets.get(task.id) if group is not None else None
            states.append(target.state if target is not None else "initial")
        grace = service.spec.get("healthCheckGracePeriodSeconds", 0)
        if "unhealthy" in states:
            return "initial" if now < (task.started_at or now) + grace else "unhealthy"
        return "healthy" if set(states) <= {"healthy"} else "initial"

    async def close(self) -> None:
        """Answer the requests in flight, then end."""
        await asyncio.gather(*(listener.close() for listener in self._listeners))
        jobs = [*self._jobs]
        for group in self._groups.values():
            for target in group.targets.values():
                if target.checks is not None:
                    target.checks.cancel()
                    jobs.append(target.checks)
        await asyncio.gather(*jobs, return_exceptions=True)
        await self._http.aclose()

    async def _check(self, service: Service, group: TargetGroup, target: Target) -> None:
        """Check a target again and again. One success makes a new target healthy.

        Source: elasticloadbalancing/latest/application/target-group-health-checks. Checks that come earlier than
        the group's interval, as they do until a target is healthy, can only succeed: a target has as much time to
        come up as on AWS.
        """
        limit = self._settings.health_interval_seconds
        clock = asyncio.get_running_loop().time
        due, successes, failures = clock() + group.check.interval_seconds, 0, 0
        while True:
            if await self._is_healthy(group.check, target):
                successes, failures = successes + 1, 0
                enough = 1 if target.state == "initial" else group.check.healthy_threshold
                if target.state != "healthy" and successes >= enough:
                    await asyncio.to_thread(self._register, group, target)
                    self._enter(service, target, "healthy")
            elif target.state == "healthy" or clock() >= due:
                successes, failures = 0, failures + 1
                due = clock() + group.check.interval_seconds
                if target.state != "unhealthy" and failures >= group.check.unhealthy_threshold:
                    if target.state == "healthy":
                        self._in_background(self._deregister, group, target)
                    self._enter(service, target, "unhealthy")
            interval = group.check.interval_seconds
            await asyncio.sleep(interval if target.state == "healthy" or limit is None else min(interval, limit))

    def _enter(self, service: Service, target: Target, state: str) -> None:
        target.state = state
        log.info("target %s of %s is %s", target.url, service.name, state)
        self._on_change(service)

    async def _is_healthy(self, check: HealthCheck, target: Target) -> bool:
        if not self._runtime.has_network:
            return True
        try:
            async with asyncio.timeout(check.timeout_seconds):
                answer = await exchange(self._http, "GET", target.url + check.path, [], b"")
        except (httpx.HTTPError, TimeoutError):
            return False
        return check.accepts(answer.status_code)

    async def _forward(self, group: TargetGroup, request: Request) -> Response:
        """Send a request to one healthy target after the other until one answers."""
        try:
            body = await request.body()
        except ClientDisconnect:
            return plain(400, "the client left")
        query = request.scope["query_string"]
        path = (request.scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        tried: set[str] = set()
        while (target := group.choose(tried)) is not None:
            tried.add(target.task.id)
            try:
                return await exchange(self._http, request.method, target.url + path, request.headers.raw, body)
            except NOT_SENT:
                continue
            except httpx.TimeoutException:
                return plain(504, f"target {target.url} did not answer within {IDLE_SECONDS} s")
            except httpx.HTTPError as error:
                if request.method not in IDEMPOTENT:
                    return plain(502, f"target {target.url} broke off: {error or type(error).__name__}")
        if tried:
            return plain(502, f"none of the {len(tried)} targets answered")
        return plain(503, f"target group {group.name} has no healthy targets ({len(group.targets)} in all)")

    def _in_background(self, work: Callable[[TargetGroup, Target], None], group: TargetGroup, target: Target) -> None:
        job = asyncio.create_task(asyncio.to_thread(work, group, target))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def _describe(self, arn: str) -> JsonObject | None:
        elbv2 = self._elbv2()
        with contextlib.suppress(elbv2.exceptions.ClientError):
            groups: list[JsonObject] = elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
            return groups[0] if groups else None
        return None

    def _register(self, group: TargetGroup, target: Target) -> None:
        elbv2 = self._elbv2()
        with contextlib.suppress(elbv2.exceptions.ClientError):
            elbv2.register_targets(TargetGroupArn=group.arn, Targets=[_as_aws(target)])

    def _deregister(self, group: TargetGroup, target: Target) -> None:
        elbv2 = self._elbv2()
        with contextlib.suppress(elbv2.exceptions.ClientError):
            elbv2.deregister_targets(TargetGroupArn=group.arn, Targets=[_as_aws(target)])


def ports_of(name: str, first: int, last: int) -> Iterator[int]:
    """All ports of a range, from the one that a name alone decides."""
    size = last - first + 1
    start = zlib.crc32(name.encode()) % size
    return (first + (start + step) % size for step in range(size))


def _as_aws(target: Target) -> JsonObject:
    return {"Id": target.task.private_ip, "Port": target.container_port}
