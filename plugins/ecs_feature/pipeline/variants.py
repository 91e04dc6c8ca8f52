"""The variants of a pipeline and the services that their shards call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from ecs_feature.environment import CONTRACT_VARIABLES, substitute
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline.settings import check_name
from ecs_feature.services.leases import SharingPolicy, check_count
from ecs_feature.services.readiness import CeleryWorkers, ReadyCheck, checks_of

AnyService = TypeVar("AnyService", bound="ScaledService")


@dataclass(frozen=True)
class ScaledService:
    """An ECS service that a variant's shards call while they run.

    :param name: of a service in the pipeline's cluster.
    :param count: how many of its tasks one run needs; 1 to the service quota.
    :param baseline: tasks that always run; the service returns to it, 0 by default.
    :param cap: never more than this, however many runs hold it; None: the service quota.
    :param sharing: ``sum``: runs at once add up; ``max``: they share.
    :param ready: what else must be true before the shards start, when ECS calls the service steady:
        :class:`CeleryWorkers`, :class:`HttpHealth`, a function that the triggerer can import, or a list of them.
    """

    name: str
    count: int = 1
    baseline: int = 0
    cap: int | None = None
    sharing: Literal["sum", "max"] = "sum"
    ready: Any = ()

    def __post_init__(self) -> None:
        check_name(self.name, "services: name")
        check_count(self.count, f"services[{self.name!r}].count")
        if self.cap is not None and self.count > self.cap:
            raise ConfigurationError(
                f"services[{self.name!r}].count: {self.count} is more than its cap of {self.cap}; lower one of them."
            )
        self.policy()
        self.checks()

    def checks(self) -> tuple[ReadyCheck, ...]:
        """What it is asked for to be ready, beside ECS's word."""
        return checks_of(self.ready)

    def policy(self) -> SharingPolicy:
        if self.cap is None:
            return SharingPolicy(self.baseline, sharing=self.sharing)
        return SharingPolicy(self.baseline, self.cap, self.sharing)


@dataclass(frozen=True)
class WorkerService(ScaledService):
    """The ECS service whose tasks are the Celery workers that run a variant's shards, with ``dispatch="workers"``.

    :param count: workers; one shard at a time on each, unless they are started with more ``--concurrency``.
    :param queue: that they listen on (``airflow celery worker --queues features``), and nobody else.
    """

    queue: str = "features"

    def __post_init__(self) -> None:
        check_name(self.queue, "workers: queue")
        super().__post_init__()

    def checks(self) -> tuple[ReadyCheck, ...]:
        return (CeleryWorkers(self.queue), *super().checks())


@dataclass(frozen=True)
class Variant:
    """One arm of a pipeline, with compute of its own: its services and its task definition.

    :param name: e.g. ``control``; a task group in the Grid, and a partition of the output.
    :param task_definition: name of a file in the pipeline's ``taskdefs`` folder, without ``.json``.
    :param services: what its shards call.
    :param environment: more environment for its containers, over the pipeline's; values may have placeholders and
        templates.
    :param command: of its container instead of the pipeline's.
    :param workers: with ``dispatch="workers"``: the service and the queue of its own that its shards run on.
    """

    name: str
    task_definition: str = ""
    services: Sequence[ScaledService] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    workers: WorkerService | None = None

    def __post_init__(self) -> None:
        if self.name:  # a pipeline without variants has one without a name
            check_name(self.name, "variants: name")
        where = f" of variant {self.name}" if self.name else ""
        for service in self.services:
            if not isinstance(service, ScaledService):
                raise ConfigurationError(
                    f"services: {service!r:.80}{where} is of type {type(service).__name__}; give a ScaledService."
                )
        check_environment(self.environment, where)
        check_command(self.command, where)

    def resolved(self, values: Mapping[str, str]) -> Variant:
        """The variant with its placeholders replaced.

        :raises ConfigurationError: when one has no value.
        """
        return replace(
            self,
            task_definition=substitute(self.task_definition, values, where="variants: task_definition"),
            services=tuple(_filled(service, values) for service in self.services),
            workers=self.workers and _filled(self.workers, values),
            environment=substitute(self.environment, values, where=f"variants[{self.name!r}].environment"),
            command=substitute(self.command, values, where=f"variants[{self.name!r}].command", keep=CONTRACT_VARIABLES),
        )


def _filled(service: AnyService, values: Mapping[str, str]) -> AnyService:
    return replace(service, name=substitute(service.name, values, where="services: name"))


def check_environment(environment: Mapping[str, str], where: str = "") -> None:
    """:raises ConfigurationError: for a value that is no text, and for a variable that the job contract sets."""
    for key, value in environment.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"environment: {key}{where} is {value!r:.80}; ECS takes text, {str(value)!r:.80}.")
        if key in CONTRACT_VARIABLES:
            raise ConfigurationError(
                f"environment: {key}{where} is set by the pipeline for each shard (docs/job-contract.md); give yours "
                "another name."
            )


def check_command(command: Sequence[str], where: str = "") -> None:
    """:raises ConfigurationError: when it is no list of words."""
    if isinstance(command, str) or any(not isinstance(word, str) for word in command):
        raise ConfigurationError(
            f'command: {command!r:.80}{where} is no list of texts; give one word each, ["python", "job.py"].'
        )


def check_services(variants: Iterable[Variant]) -> None:
    """:raises ConfigurationError: when a variant has a service twice, or variants share one in different ways."""
    policies: dict[str, SharingPolicy] = {}
    for variant in variants:
        names = [service.name for service in variant.services]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            who = f"variant {variant.name} has " if variant.name else ""
            raise ConfigurationError(f"services: {who}{', '.join(twice)} more than once; add their counts up.")
        for service in variant.services:
            if policies.setdefault(service.name, service.policy()) != service.policy():
                raise ConfigurationError(
                    f"services: the variants give {service.name} different baselines, caps or ways of sharing; "
                    "give it the same ones."
                )
