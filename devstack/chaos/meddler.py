"""Somebody else who writes to a run's service: Terraform, an operator at the console, a deployment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from devstack.chaos.plans import chance
from devstack.chaos.scenarios import Scenario

ACTIONS: Final = (
    "remove all tags",
    "set the desired count to 0",
    "set the desired count to 1",
    "apply the template",
    "deploy again",
    "deploy a new revision",
)
"""``apply the template``: as Terraform, which removes the tags that it does not know and sets its own desired count.

Application Auto Scaling is not among them: the local stack keeps scalable targets, but nobody there acts on them. What
it does to a service, another desired count, is.
"""
FIRST_SECONDS: Final = 2.0


@dataclass(frozen=True)
class PlannedMeddling:
    """Do this ``at`` seconds after shards are launched."""

    at: float
    action: str


def meddling_plan(scenario: Scenario, seed: int) -> list[PlannedMeddling]:
    """What is done to a scenario's service, in the order of its times; nothing where it has no meddler. Pure."""
    if scenario.meddling is None:
        return []
    rng = chance(seed, scenario.name, "meddling")
    times, until = scenario.meddling.times, scenario.meddling.until
    moments = sorted(round(rng.uniform(FIRST_SECONDS, until), 2) for _ in range(times))
    actions: list[str] = []
    while len(actions) < times:
        actions += rng.sample(ACTIONS, len(ACTIONS))
    return [PlannedMeddling(at, action) for at, action in zip(moments, actions, strict=False)]


@dataclass
class Meddler:
    """Carries out the plan for one service; :meth:`tick` is called again and again.

    :param ecs: a boto3 client.
    :param baseline: what the template says that the desired count is.
    :param tell: is told everything it does.
    :ivar done: how often it did what.
    """

    ecs: Any
    cluster: str
    service: str
    baseline: int
    plan: list[PlannedMeddling]
    tell: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)

    def tick(self, seconds: float | None) -> None:
        """Do what is due.

        :param seconds: since the first shard was launched; None before that.
        """
        while self.plan and seconds is not None and self.plan[0].at <= seconds:
            action = self.plan[0].action
            try:
                self.do(action)
            except (BotoCoreError, ClientError):
                return  # another scenario's fault; all of it again at the next tick
            self.plan.pop(0)
            self.done[action] += 1
            self.tell(f"{self.service}: somebody else writes to it: {action}")

    def do(self, action: str) -> None:
        """One of :data:`ACTIONS`."""
        if action in ("remove all tags", "apply the template"):
            self._remove_tags()
        if action == "set the desired count to 0":
            self._update(desiredCount=0)
        elif action == "set the desired count to 1":
            self._update(desiredCount=1)
        elif action == "apply the template":
            self._update(desiredCount=self.baseline)
        elif action == "deploy again":
            self._update(forceNewDeployment=True)
        elif action == "deploy a new revision":
            self._update(taskDefinition=self._new_revision())

    def _shown(self) -> Any:
        answer = self.ecs.describe_services(cluster=self.cluster, services=[self.service], include=["TAGS"])
        return answer["services"][0]

    def _update(self, **changes: Any) -> None:
        self.ecs.update_service(cluster=self.cluster, service=self.service, **changes)

    def _remove_tags(self) -> None:
        service = self._shown()
        if keys := [tag["key"] for tag in service.get("tags", ())]:
            self.ecs.untag_resource(resourceArn=service["serviceArn"], tagKeys=keys)

    def _new_revision(self) -> str:
        found = self.ecs.describe_task_definition(taskDefinition=self._shown()["taskDefinition"])["taskDefinition"]
        kept = ("family", "requiresCompatibilities", "networkMode", "runtimePlatform", "cpu", "memory")
        request = {name: found[name] for name in (*kept, "executionRoleArn", "containerDefinitions") if name in found}
        made = self.ecs.register_task_definition(**request)
        return str(made["taskDefinition"]["taskDefinitionArn"])
