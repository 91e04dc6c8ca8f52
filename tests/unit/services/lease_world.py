"""One service of fargate_local's own ECS API, without HTTP, on which lease steps are driven call by call."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import AwsError, EcsFeatureError, EndpointUnreachableError
from ecs_feature.services.lease_steps import Call, Pause, ServiceSteps, Steps
from ecs_feature.services.leases import Lease, ScalableTarget, SharingPolicy, leases_of, reconcile
from fargate_local.api.context import Context
from fargate_local.api.dispatch import handler_of
from fargate_local.api.idempotency import ClientTokens
from fargate_local.api.model import EcsModel
from fargate_local.engine.scheduler import make_deployment
from fargate_local.errors import ApiError
from fargate_local.quotas import Quotas
from fargate_local.resources import Cluster, Service, State, TaskDefinition
from fargate_local.settings import Settings

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLUSTER, SERVICE = "features", "encoder"
LOST = EndpointUnreachableError("the answer was lost")

_MODEL = EcsModel()
_CHECKED: set[tuple[str, ...]] = set()
_OPERATIONS = {
    "describe_services": "DescribeServices",
    "tag_resource": "TagResource",
    "untag_resource": "UntagResource",
    "update_service": "UpdateService",
}


class _NoScheduler:
    """Tasks are no part of this world: a desired count is enough."""

    def kick(self, service: Service) -> None:
        pass


def _definition() -> TaskDefinition:
    arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/encoder:1"
    return TaskDefinition(arn, "encoder", 1, {"status": "ACTIVE", "containerDefinitions": []})


@dataclass
class Scalable:
    """What Application Auto Scaling keeps of the service; raising the minimum raises the desired count."""

    minimum: int
    maximum: int


class World:
    """The service, and the true time."""

    def __init__(self, desired: int = 0, target: Scalable | None = None, tags: dict[str, str] | None = None) -> None:
        self.now = START
        self.target = target
        self.disturbances = 0
        settings = Settings(quotas=False)
        self._ecs = Context(
            settings,
            State(),
            Quotas(settings.monotonic, enabled=False),
            ClientTokens(settings.clock),
            cast(Any, None),
            cast(Any, _NoScheduler()),
            settings.clock,
        )
        cluster = Cluster(CLUSTER, self._ecs.arn(f"cluster/{CLUSTER}"))
        self._ecs.state.clusters[CLUSTER] = cluster
        self.service = Service(
            SERVICE,
            self._ecs.arn(f"service/{CLUSTER}/{SERVICE}"),
            cluster,
            desired,
            created_at=0.0,
            spec={"deploymentConfiguration": {}},
            deployments=[make_deployment(_definition(), 0.0)],
            tags=dict(tags or {}),
        )
        cluster.services[SERVICE] = self.service

    def steps(self, skew: timedelta = timedelta(), known: SharingPolicy | None = None) -> ServiceSteps:
        scalable = self.target is not None
        return ServiceSteps(CLUSTER, SERVICE, lambda: self.now + skew, autoscaling=scalable, known=known)

    def meddle(self, *, tags: str = "", count: int | None = None) -> None:
        """What Terraform does: remove the tags whose keys begin so, and reset the desired count."""
        if tags:
            self.service.tags = {key: value for key, value in self.service.tags.items() if not key.startswith(tags)}
        if count is not None:
            self.service.desired_count = count

    def call(self, call: Call) -> Any:
        """What AWS would answer.

        :raises AwsError: what AWS would refuse.
        """
        if call.client == "application-autoscaling":
            return self._autoscale(call)
        return self.answer(_OPERATIONS[call.method], dict(call.arguments))

    def answer(self, operation: str, request: dict[str, Any]) -> Any:
        try:
            _check_shape(operation, request)
            answer = handler_of(operation)(self._ecs, request)
            return _finished(answer) if isinstance(answer, Coroutine) else answer
        except ApiError as error:
            raise AwsError(str(error), error.code, operation) from error

    def _autoscale(self, call: Call) -> Any:
        assert self.target is not None
        assert "MaxCapacity" not in call.arguments
        if call.method == "describe_scalable_targets":
            return {"ScalableTargets": [{"MinCapacity": self.target.minimum, "MaxCapacity": self.target.maximum}]}
        self.target.minimum = call.arguments["MinCapacity"]
        self.service.desired_count = max(self.service.desired_count, self.target.minimum)
        return {}

    @property
    def held(self) -> int:
        """What the leases move: the desired count, or the scalable target's minimum."""
        return self.target.minimum if self.target is not None else self.service.desired_count

    @property
    def leases(self) -> dict[str, Lease | None]:
        return leases_of(self.service.tags.items())

    def wanted(self) -> int:
        """What the tags ask for, at the true time."""
        answer = self.answer("DescribeServices", {"services": [SERVICE], "include": ["TAGS"], "cluster": CLUSTER})
        target = None if self.target is None else ScalableTarget(self.target.minimum, self.target.maximum)
        return reconcile(EcsService.from_aws(answer["services"][0]), self.now, target).count

    def of(self, holder: str) -> list[Lease]:
        return [lease for lease in self.leases.values() if lease is not None and lease.holder == holder]


def _check_shape(operation: str, request: dict[str, Any]) -> None:
    """Against botocore's model; once for each set of members, as thousands of calls are alike."""
    shape = (operation, *request)
    if shape not in _CHECKED:
        _MODEL.check_input(operation, request)
        _CHECKED.add(shape)


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the operation waits for something")


@dataclass(eq=False)
class Actor:
    """A process in the middle of acquiring, releasing or settling; it makes one call at a time.

    ``has_seen``: how many of the world's disturbances came before its last reading began. ``until``: when the lease
    that it acquires ends.
    """

    world: World
    kind: str
    holder: str
    steps: Steps[Any]
    next: Call | None = None
    result: Any = None
    error: EcsFeatureError | None = None
    done: bool = False
    has_seen: int = 0
    until: datetime = START

    def __post_init__(self) -> None:
        self._advance(lambda: self.steps.send(None))

    def step(self, *, lost: bool = False) -> None:
        """Make the next call; ``lost``: it takes effect, but the answer does not arrive."""
        assert self.next is not None
        call = self.next
        if call.method == "describe_services":
            self.has_seen = self.world.disturbances
        try:
            answer = self.world.call(call)
        except EcsFeatureError as error:
            failed: EcsFeatureError | None = error
        else:
            failed = LOST if lost else None
        if failed is not None:
            raised = failed
            self._advance(lambda: self.steps.throw(raised))
        else:
            self._advance(lambda: self.steps.send(answer))

    def crash(self) -> None:
        """The process is gone, between two calls."""
        self.steps.close()
        self.done, self.error = True, LOST

    def finish(self) -> Any:
        while not self.done:
            self.step()
        if self.error is not None:
            raise self.error
        return self.result

    def _advance(self, go: Any) -> None:
        try:
            step = go()
            while isinstance(step, Pause):
                step = self.steps.send(None)
            self.next = step
        except StopIteration as stop:
            self.done, self.result, self.next = True, stop.value, None
        except EcsFeatureError as error:
            self.done, self.error, self.next = True, error, None


def acquiring(
    world: World,
    holder: str,
    count: int,
    *,
    policy: SharingPolicy = SharingPolicy(),  # noqa: B008 - frozen
    lease: timedelta = timedelta(hours=1),
    skew: timedelta = timedelta(),
) -> Actor:
    until = world.now + skew + lease
    steps = world.steps(skew).acquire(holder=holder, count=count, until=until, policy=policy)
    return Actor(world, "acquire", holder, steps, until=until)


def releasing(world: World, holder: str, *, skew: timedelta = timedelta(), known: SharingPolicy | None = None) -> Actor:
    return Actor(world, "release", holder, world.steps(skew, known).release(holder=holder))


def holding(
    world: World,
    holder: str,
    count: int,
    *,
    policy: SharingPolicy = SharingPolicy(),  # noqa: B008 - frozen
    lease: timedelta = timedelta(hours=1),
) -> Actor:
    """One look of a run's guard."""
    until = world.now + lease
    steps = world.steps().hold(holder=holder, count=count, until=until, policy=policy)
    return Actor(world, "hold", holder, steps, until=until)


def settling(world: World, holder: str = "janitor", *, skew: timedelta = timedelta()) -> Actor:
    return Actor(world, "settle", holder, world.steps(skew).settle())


def finish_all(actors: list[Actor]) -> None:
    """Let them take turns until all are done."""
    waiting = deque(actor for actor in actors if not actor.done)
    while waiting:
        actor = waiting.popleft()
        actor.step()
        if not actor.done:
            waiting.append(actor)
