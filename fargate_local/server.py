"""One server: its parts, and how they start and stop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from fargate_local.api.context import Context
from fargate_local.api.idempotency import ClientTokens
from fargate_local.api.model import EcsModel
from fargate_local.balancer.groups import LoadBalancers
from fargate_local.endpoint.calls import CallLog
from fargate_local.endpoint.control import Control
from fargate_local.endpoint.front import Front
from fargate_local.engine.awslogs import AwsLogs
from fargate_local.engine.launch import Launcher
from fargate_local.engine.lifecycle import Lifecycle
from fargate_local.engine.placement import Placement
from fargate_local.engine.preparation import Preparation
from fargate_local.engine.scheduler import Scheduler
from fargate_local.engine.task_events import TaskEvents
from fargate_local.faults import FaultEngine
from fargate_local.keep import Keep
from fargate_local.listener import EVERYWHERE, Listener, bind, url_of
from fargate_local.moto_backend import MotoBackend
from fargate_local.quotas import Quotas
from fargate_local.resources import Service, State, Task
from fargate_local.runtimes.base import Runtime
from fargate_local.runtimes.docker import DockerRuntime
from fargate_local.runtimes.engine_api import EngineApi
from fargate_local.runtimes.packages import Packages
from fargate_local.runtimes.process import ProcessRuntime
from fargate_local.runtimes.simulated import SimulatedRuntime
from fargate_local.settings import ACCESS_KEY_ID, Settings

log = logging.getLogger("fargate_local")

FORGET_EVERY_SECONDS = 30.0


class Server:
    """A local Fargate. Made and used inside one event loop: `open`, `serve`, `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = bind(settings.host, settings.port)
        self.endpoint_url = url_of(self._socket, settings.advertised_host)
        self.moto = MotoBackend()
        self.calls = CallLog()
        self.faults = FaultEngine()
        self._stopping = asyncio.Event()

    @property
    def environ(self) -> dict[str, str]:
        """What a shell needs so that every AWS SDK talks to this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY_ID,
            "AWS_DEFAULT_REGION": self._settings.region,
            "AWS_REGION": self._settings.region,
        }

    def stop(self) -> None:
        """Ask `serve` to end; from within the event loop."""
        self._stopping.set()

    async def serve(self, ready: asyncio.Event) -> None:
        """Serve until `stop`; then end every task, and return when no child is left. `ready` is set when it listens."""
        with tempfile.TemporaryDirectory(prefix="fargate-local-") as temporary:
            state_dir = (self._settings.state_dir or Path(temporary)).resolve()
            await self._serve(ready, state_dir)

    async def _serve(self, ready: asyncio.Event, state_dir: Path) -> None:
        settings, state = self._settings, State()
        quotas = Quotas(settings.monotonic, enabled=settings.quotas, vcpus=settings.fargate_vcpus)
        runtime = self._runtime(state_dir, lambda: [self.endpoint_url, *balancers.urls.values()])
        logs = AwsLogs(self.moto.direct, settings.clock)
        events = TaskEvents(settings, self.moto.direct)

        def task_changed(task: Task) -> None:
            if task.last_status == "STOPPED":
                quotas.give_back(task.id)
                placement.task_stopped(task)
            events.task_changed(task)
            scheduler.task_changed(task)

        def service_changed(service: Service) -> None:
            scheduler.kick(service)

        preparation = Preparation(settings, runtime, self.moto, logs, state_dir, self.endpoint_url)
        lifecycle = Lifecycle(settings, settings.clock, runtime, preparation, self.faults, task_changed)
        placement = Placement(settings, state, settings.clock)
        launcher = Launcher(settings, state, quotas, settings.clock, lifecycle, placement)
        balancers = LoadBalancers(
            settings, lambda: self.moto.client("elbv2", settings.region), runtime, service_changed
        )
        scheduler = Scheduler(state, launcher, balancers, quotas, settings.clock)
        ecs = Context(settings, state, quotas, ClientTokens(settings.clock), launcher, scheduler, settings.clock)
        control = Control(state, self.faults, self.calls, balancers)
        front = Front(ecs, EcsModel(), self.moto, self.faults, self.calls, control)
        listeners = [Listener(front, self._socket, timeout_keep_alive=75)]
        forgetting = asyncio.create_task(_forget(state, settings))
        keep = Keep(state_dir / "kept", state, self.moto.s3_lock) if settings.keep else None
        try:
            if keep is not None:
                await keep.open()
            await runtime.open()
            if runtime.gateway is not None and settings.host != EVERYWHERE:
                port = self._socket.getsockname()[1]
                gate = Listener(front, bind(runtime.gateway, port), timeout_keep_alive=75)
                listeners.append(gate)
            scheduler.open()
            for listener in listeners:
                await listener.open()
            ready.set()
            await self._stopping.wait()
        finally:
            forgetting.cancel()
            await scheduler.close()
            await lifecycle.close()
            await balancers.close()
            await runtime.close()
            await logs.close()
            await events.close()
            for listener in listeners:
                await listener.close(force=True)
            front.close()
            if keep is not None:
                await keep.close()

    def _runtime(self, state_dir: Path, own_urls: Callable[[], Iterable[str]]) -> Runtime:
        settings = self._settings
        if settings.runtime == "docker":
            api, owner = EngineApi(settings.engine), settings.owner or secrets.token_hex(8)
            return DockerRuntime(api, owner, settings.engine_network, own_urls, state_dir)
        if settings.runtime == "simulated":
            return SimulatedRuntime(self.moto.direct)
        images = None if settings.images is None else settings.images.resolve()
        return ProcessRuntime(
            images, state_dir / "tasks", settings.memory_interval_seconds, Packages(state_dir / "packages")
        )


async def _forget(state: State, settings: Settings) -> None:
    while True:
        await asyncio.sleep(FORGET_EVERY_SECONDS)
        state.forget_stopped_tasks(settings.clock() - settings.stopped_task_seconds)
