"""A task's life: PROVISIONING, PENDING, RUNNING, then down to STOPPED.

Source: AmazonECS/latest/developerguide/task-lifecycle-explanation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from fargate_local import limits
from fargate_local.containers import Container
from fargate_local.engine import health
from fargate_local.engine.preparation import Preparation, Prepared, spec_out_of_disk
from fargate_local.engine.restarts import may_restart
from fargate_local.engine.specs import container_environment
from fargate_local.engine.start_order import in_start_order, state_of
from fargate_local.errors import StartFailure
from fargate_local.faults import FaultEngine, Subject
from fargate_local.resources import Task
from fargate_local.runtimes.base import ContainerSpec, Exit, RunningContainer, Runtime
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject

log = logging.getLogger("fargate_local")
Answer = TypeVar("Answer")

INTERNAL_ERROR = "InternalError: unexpected error in fargate_local"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class _StopRequested(Exception):
    """The task was asked to stop while it waited."""


class Lifecycle:
    """Drives every task of a server, each as one coroutine.

    :param on_change: called after every change of a task, with the task.
    """

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        runtime: Runtime,
        preparation: Preparation,
        faults: FaultEngine,
        on_change: Callable[[Task], None],
    ) -> None:
        self._settings = settings
        self._now = now
        self.runtime = runtime
        self._preparation = preparation
        self._faults = faults
        self._on_change = on_change
        self._runs: dict[str, asyncio.Task[None]] = {}

    def begin(self, task: Task) -> None:
        """Start the life of a task that was just created."""
        # The life comes first: whatever fails after this, the task can be stopped.
        run = asyncio.create_task(self._run(task), name=f"ecs-task-{task.id}")
        self._runs[task.id] = run
        run.add_done_callback(lambda _: self._runs.pop(task.id, None))
        late = self._faults.effect_on(_subject(task), frozenset({"invisible_seconds"}))
        if late is not None:
            task.visible_at = task.created_at + float(late["invisible_seconds"])

    def stop(self, task: Task, code: str | None, reason: str) -> None:
        """Ask for a task's end. The first request counts."""
        if task.request_stop(code, reason, self._now()):
            self._on_change(task)

    def orphan(self, task: Task, reason: str) -> None:
        """Stop a task for ECS only: its containers run on, and nobody hears of them any more."""
        task.orphaned = task.desired_status != "STOPPED"
        self.stop(task, None, reason)

    async def close(self) -> None:
        """End all tasks; returns when the last one has stopped."""
        for run in list(self._runs.values()):
            run.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)

    async def _run(self, task: Task) -> None:
        """Live the task's life. A fault of ours ends it, too: no task is there for ever."""
        try:
            await self._live(task)
        except Exception:
            log.exception("task %s", task.id)
            task.request_stop("TaskFailedToStart", INTERNAL_ERROR, self._now())
            self._enter(task, "STOPPED", stopped_at=self._now())

    async def _live(self, task: Task) -> None:
        fault = self._faults.effect_on(_subject(task)) or {}
        self._on_change(task)
        containers: dict[str, RunningContainer] = {}
        prepared: Prepared | None = None
        try:
            await self._pause(task, "PROVISIONING", stuck=fault.get("stuck"))
            await self._until_placed(task)
            self._enter(task, "PENDING", connectivity_at=self._now(), pull_started_at=self._now())
            if "start_failure" in fault:
                raise StartFailure(fault["start_failure"])
            prepared = await self._preparation.prepare(task)
            await self._pause(task, "PENDING", stuck=fault.get("stuck"))
            self._touch(task, pull_stopped_at=self._now())
            await self._start(task, prepared, containers, fault)
            await self._until_end(task, prepared, containers, fault)
        except _StopRequested:
            pass
        except StartFailure as failure:
            for container in task.containers if str(failure).startswith("Cannot") else ():
                container.reason = str(failure)
            task.request_stop("TaskFailedToStart", str(failure), self._now())
        except asyncio.CancelledError:
            task.request_stop("UserInitiated", "fargate_local was shut down", self._now())
            for running in containers.values():
                await running.stop(0.0)
            raise
        except Exception:
            log.exception("task %s", task.id)
            task.request_stop("TaskFailedToStart", INTERNAL_ERROR, self._now())
        await self._wind_down(task, prepared, containers)

    async def _until_placed(self, task: Task) -> None:
        """Wait until a task of EC2 capacity has its container instance."""
        if not task.on_ec2:
            return
        waits = [asyncio.create_task(event.wait()) for event in (task.placed, task.stop_requested)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if task.stop_requested.is_set():
            raise _StopRequested

    async def _start(
        self, task: Task, prepared: Prepared, containers: dict[str, RunningContainer], fault: Mapping[str, object]
    ) -> None:
        for container, definition in in_start_order(task):
            if refusal := await self._await_dependencies(task, container, definition, containers):
                # As the agent does: the exit code is SIGTERM's (aws/amazon-ecs-agent#3218).
                container.exit_code, container.last_status = 143, "STOPPED"
                container.reason = f"CannotStartContainerError: dependency graph: {refusal}"
                if container.essential:
                    raise StartFailure("Task failed to start")
                continue
            spec = prepared.specs[container.name]
            if "exit_code" in fault:
                spec = prepared.spec_that_exits(spec, int(str(fault["exit_code"])), _after_seconds(fault))
            if "disk_full_below_gib" in fault:
                spec = spec_out_of_disk(spec, _after_seconds(fault))
            await self._start_container(task, container, spec, prepared, containers)
        self._enter(task, "RUNNING", started_at=self._now())

    async def _start_container(
        self,
        task: Task,
        container: Container,
        spec: ContainerSpec,
        prepared: Prepared,
        containers: dict[str, RunningContainer],
    ) -> None:
        running = await self.runtime.start(spec, prepared.writers[container.name])
        containers[container.name] = running
        container.runtime_id = running.runtime_id
        if running.address is not None:
            task.private_ip = running.address
        container.last_status, container.started_at = "RUNNING", self._now()
        task.version += 1

    async def _await_dependencies(
        self, task: Task, container: Container, definition: JsonObject, containers: dict[str, RunningContainer]
    ) -> str:
        """Wait for what `dependsOn` asks; in the agent's words why the container can never start, or nothing.

        START is met by the order of the starts.
        """
        target = f"for target [{container.name}({container.image}) (NONE->RUNNING)]"
        unresolved = "failed to resolve container ordering dependency"
        for dependency in definition.get("dependsOn", []):
            needed = next(c for c in task.containers if c.name == dependency["containerName"])
            if needed.name not in containers:
                return f"{unresolved} [{state_of(needed)}] {target} because dependency will never start"
            try:
                async with asyncio.timeout(_definition_of(task, needed).get("startTimeout")):
                    await self._until_condition(task, needed, containers[needed.name], dependency["condition"])
            except TimeoutError:
                return f"container ordering dependency [{state_of(needed)}] {target} has timed out."
            if dependency["condition"] == "SUCCESS" and needed.exit_code != 0:
                return f"{unresolved} [{state_of(needed)}] {target} as dependency did not exit successfully."
        return ""

    async def _until_condition(self, task: Task, needed: Container, running: RunningContainer, condition: str) -> None:
        if condition in {"COMPLETE", "SUCCESS"}:
            self._note_exit(task, needed, await self._unless_stopped(task, running.wait()))
        elif condition == "HEALTHY":
            await self._unless_stopped(task, self._healthy(task, needed, running))

    async def _healthy(self, task: Task, container: Container, running: RunningContainer) -> None:
        """Check the container's health until it is healthy."""
        healthy = asyncio.Event()

        def changed() -> None:
            self._touch(task)
            if container.health_status == "HEALTHY":
                healthy.set()

        check = _definition_of(task, container).get("healthCheck", {"command": ["NONE"]})
        interval = self._settings.check_seconds
        watch = asyncio.create_task(health.watch(check, container, running, changed, interval))
        try:
            await healthy.wait()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _unless_stopped(self, task: Task, waited_for: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer, unless the task is asked to stop before."""
        wait, stop = asyncio.create_task(waited_for), asyncio.create_task(task.stop_requested.wait())
        try:
            await asyncio.wait((wait, stop), return_when=asyncio.FIRST_COMPLETED)
            if not wait.done():
                raise _StopRequested
            return wait.result()
        finally:
            for job in (wait, stop):
                job.cancel()
            await asyncio.gather(wait, stop, return_exceptions=True)

    async def _until_end(
        self, task: Task, prepared: Prepared, running: dict[str, RunningContainer], fault: Mapping[str, object]
    ) -> None:
        """Return when an essential container has ended, all have, or the task is asked to stop."""
        waits = {asyncio.create_task(running[c.name].wait()): c for c in task.containers if c.name in running}
        stop = asyncio.create_task(task.stop_requested.wait())
        others: list[asyncio.Future[Any]] = [stop, *self._health_checks(task, running)]
        if "stop_code" in fault:
            others.append(asyncio.create_task(self._interrupt(task, fault)))
        if "out_of_memory_below_mib" in fault:
            others.append(asyncio.create_task(_run_out_of_memory(running[task.main.name], fault)))
        try:
            pending = set(waits)
            while pending:
                everything: set[asyncio.Future[Any]] = {*pending, stop}
                done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
                ended = {wait for wait in pending if wait in done}
                pending -= ended
                for wait in ended:
                    self._note_exit(task, waits[wait], wait.result())
                if stop in done:
                    return
                for wait in [wait for wait in ended if self._restarts(task, waits[wait])]:
                    container = waits[wait]
                    container.exit_code = container.reason = None
                    await self._start_container(task, container, prepared.specs[container.name], prepared, running)
                    renewed = asyncio.create_task(running[container.name].wait())
                    waits[renewed] = container
                    pending.add(renewed)
                    ended.remove(wait)
                if not pending or any(waits[wait].essential for wait in ended):
                    break
            task.execution_stopped_at = self._now()
            task.request_stop("EssentialContainerExited", "Essential container in task exited", self._now())
        finally:
            leftover: list[asyncio.Future[Any]] = [*others, *waits]
            for job in leftover:
                job.cancel()
            await asyncio.gather(*leftover, return_exceptions=True)

    def _restarts(self, task: Task, container: Container) -> bool:
        ran_seconds = self._now() - container.started_at
        return may_restart(_definition_of(task, container), container.exit_code or 0, ran_seconds)

    def _health_checks(self, task: Task, running: dict[str, RunningContainer]) -> list[asyncio.Task[None]]:
        return [
            asyncio.create_task(
                health.watch(
                    definition["healthCheck"],
                    container,
                    running[container.name],
                    lambda: self._touch(task),
                    self._settings.check_seconds,
                )
            )
            for container, definition in zip(task.containers, task.definition.containers, strict=True)
            if "healthCheck" in definition and container.name in running
        ]

    async def _interrupt(self, task: Task, fault: Mapping[str, object]) -> None:
        await asyncio.sleep(_after_seconds(fault))
        code = str(fault["stop_code"])
        reasons = {"SpotInterruption": "Your Spot Task was interrupted."}
        self.stop(task, code, str(fault.get("message") or reasons.get(code, code)))

    async def _wind_down(self, task: Task, prepared: Prepared | None, containers: dict[str, RunningContainer]) -> None:
        if task.orphaned:
            await self._leave(task, prepared, containers)
            return
        self._enter(task, "DEACTIVATING")
        self._enter(task, "STOPPING")
        started = [container for container in task.containers if container.name in containers]
        await asyncio.gather(*(self._stop_container(task, c, containers[c.name]) for c in started))
        for container in task.containers:
            container.last_status = "STOPPED"
        if task.execution_stopped_at is None and containers:
            task.execution_stopped_at = self._now()
        if prepared is not None:
            await prepared.flush()
        self._enter(task, "DEPROVISIONING")
        await asyncio.sleep(self._seconds(task, "DEPROVISIONING"))
        self.runtime.release(task.id)
        await self._preparation.clean_up(task)
        forgotten = self._faults.effect_on(_subject(task), frozenset({"forget"}))
        if forgotten is not None:
            task.forgotten_at = self._now() + _after_seconds(forgotten)
        self._enter(task, "STOPPED", stopped_at=self._now())

    async def _leave(self, task: Task, prepared: Prepared | None, containers: dict[str, RunningContainer]) -> None:
        """The orphaned task is STOPPED at once; its containers stay as ECS saw them last, and end in their own time."""
        self._enter(task, "STOPPED", stopped_at=self._now())
        await asyncio.gather(*(running.wait() for running in containers.values()))
        if prepared is not None:
            await prepared.flush()
        self.runtime.release(task.id)

    def _seconds(self, task: Task, state: str) -> float:
        """How long a state takes; without a network interface of its own a task needs none of the interface's time."""
        if task.network_mode != "awsvpc" and state in ("PROVISIONING", "DEPROVISIONING"):
            return 0.0
        return limits.STATE_SECONDS[state] * self._settings.pace

    async def _stop_container(self, task: Task, container: Container, running: RunningContainer) -> None:
        definition = _definition_of(task, container)
        await running.stop(float(definition.get("stopTimeout", limits.DEFAULT_STOP_TIMEOUT_SECONDS)))
        if container.exit_code is None:
            self._note_exit(task, container, await running.wait())

    def _note_exit(self, task: Task, container: Container, ended: Exit) -> None:
        container.last_status = "STOPPED"
        container.exit_code = ended.code
        container.reason = OUT_OF_MEMORY if ended.out_of_memory else None
        self._touch(task)

    async def _pause(self, task: Task, state: str, stuck: object = None) -> None:
        """Stay in a state for as long as it takes, unless the task is asked to stop."""
        seconds = None if stuck == state else self._seconds(task, state)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(task.stop_requested.wait(), seconds)
        if task.stop_requested.is_set():
            raise _StopRequested

    def _enter(self, task: Task, status: str, **times: float) -> None:
        task.last_status = status
        log.info("task %s of %s is %s", task.id, task.definition.family, status)
        self._touch(task, **times)

    def _touch(self, task: Task, **times: float) -> None:
        for name, at in times.items():
            setattr(task, name, at)
        task.version += 1
        self._on_change(task)


async def _run_out_of_memory(running: RunningContainer, fault: Mapping[str, object]) -> None:
    await asyncio.sleep(_after_seconds(fault))
    running.kill_for_memory()


def _after_seconds(fault: Mapping[str, object]) -> float:
    return float(str(fault.get("after_seconds", 0)))


def _subject(task: Task) -> Subject:
    return Subject(
        memory_mib=int(task.memory),
        ephemeral_gib=task.ephemeral_storage_gib,
        cluster=task.cluster.name,
        family=task.definition.family,
        service=task.service,
        capacity=task.capacity,
        environments=tuple(container_environment(task, definition) for definition in task.definition.containers),
    )


def _definition_of(task: Task, container: Container) -> JsonObject:
    return next(definition for definition in task.definition.containers if definition["name"] == container.name)
