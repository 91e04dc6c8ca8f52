"""Faults on demand: the rules of one server, and which of them fires. No I/O."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fargate_local.fault_rules import CALL_EFFECTS, FATE_EFFECTS, parse

FATES = frozenset(CALL_EFFECTS | FATE_EFFECTS)


@dataclass
class FaultRule:
    """One rule: it fires `times` times (None: without end), each time with `probability`.

    A rule whose match names an `operation` or a `service_api` concerns calls, any other concerns tasks.

    :param match: `operation` ("*" is every call of ECS, or of `service_api`), `service_api` (the name that calls are
        signed for, such as s3, logs, sqs; "*" is every service), `cluster`, `family`, `capacity` (FARGATE or
        FARGATE_SPOT), `environment` (a part of the environment of a container, in a RunTask call of its overrides);
        for calls also `user_agent` (a part of the caller's, which boto3 adds to by `Config(user_agent_extra=...)`); for
        tasks also `service`.
    :param effect: of a call: `error` (with `message` and `status`), `failure` (RunTask answers with that reason among
        its failures), `drop_answer` (done, but the caller never hears), `delay_seconds`, `hang` (it is done when the
        rule ends, never when the caller gives up), `hang_answer` (done, but the answer waits for the rule's end); not
        done at all: `answer` (this text instead of an answer, with `status`, 200 by default, and `media_type`, the
        service's by default), `close` (the connection ends without an answer), `reset` (it ends with a TCP reset); of a
        task: `exit_code`, `stop_code` (with `message`), `out_of_memory_below_mib`, `disk_full_below_gib` (those after
        `after_seconds` of running), `start_failure`, `stuck` (the state that it stays in), `invisible_seconds` (it is
        MISSING so long), `forget` (it is, `after_seconds` after its end, and its client token is forgotten with it).
    :param for_seconds: how long the rule is active; None: until it is removed.
    """

    id: str
    match: Mapping[str, Any]
    effect: Mapping[str, Any]
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    for_seconds: float | None = None
    added_at: float = 0.0
    fired: int = 0
    removed: bool = False
    chance: random.Random = field(default_factory=random.Random)

    @classmethod
    def from_json(cls, id: str, rule: Mapping[str, Any], now: float = 0.0) -> FaultRule:
        """A rule from what a user posts.

        :raises ValueError: one sentence about the first thing that is wrong.
        """
        match, effect, settings = parse(rule)
        seed = int(settings.get("seed", 0))
        return cls(
            id=id, match=match, effect=effect, times=settings.get("times"), seed=seed, chance=random.Random(seed),
            probability=float(settings.get("probability", 1.0)), for_seconds=settings.get("for_seconds"), added_at=now,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "match": dict(self.match), **self.effect, "times": self.times, "seed": self.seed,
            "probability": self.probability, "for_seconds": self.for_seconds, "fired": self.fired,
        }  # fmt: skip

    def is_active(self, now: float) -> bool:
        """Whether it was not removed, and its time is not over."""
        return not self.removed and (self.for_seconds is None or now < self.added_at + self.for_seconds)


@dataclass(frozen=True)
class Subject:
    """What a rule is held against: a call (with its operation) or a task (without).

    :param service_api: of a call: the name of the service that it was signed for.
    :param memory_mib: of a task: the memory of the whole task; likewise its `ephemeral_gib`.
    :param user_agent: of a call: the header.
    """

    operation: str | None = None
    cluster: str | None = None
    family: str | None = None
    service: str | None = None
    capacity: str | None = None
    environments: tuple[Mapping[str, str], ...] = ()
    service_api: str = "ecs"
    memory_mib: int | None = None
    ephemeral_gib: int | None = None
    user_agent: str = ""


def call_subject(
    operation: str,
    request: Mapping[str, Any],
    capacity: str | None = None,
    service_api: str = "ecs",
    user_agent: str = "",
) -> Subject:
    """What is known of a call from its request, which may be malformed."""
    cluster, definition = request.get("cluster"), request.get("taskDefinition")
    return Subject(
        operation=operation,
        cluster=cluster.rpartition("/")[2] if isinstance(cluster, str) else None,
        family=definition.rpartition("/")[2].partition(":")[0] if isinstance(definition, str) else None,
        capacity=capacity,
        environments=_environments(request),
        service_api=service_api,
        user_agent=user_agent,
    )


def _environments(request: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    try:
        overrides = request.get("overrides", {}).get("containerOverrides", [])
        return tuple({item["name"]: item.get("value", "") for item in o.get("environment", [])} for o in overrides)
    except (AttributeError, TypeError, KeyError):
        return ()


def matches(match: Mapping[str, Any], subject: Subject) -> bool:
    """Whether everything that the match names is so; of several containers' environments one is enough."""
    is_call = subject.operation is not None
    if is_call != ("operation" in match or "service_api" in match):
        return False
    wanted = match.get("operation", "*")
    if is_call and wanted not in ("*", subject.operation):
        return False
    service_api = match.get("service_api", "ecs" if wanted == "*" else "*")
    if is_call and service_api not in ("*", subject.service_api):
        return False
    if match.get("user_agent", "") not in subject.user_agent:
        return False
    environment = match.get("environment")
    if environment is not None and not any(
        all(own.get(name) == value for name, value in environment.items()) for own in subject.environments
    ):
        return False
    return all(
        getattr(subject, name) == match[name] for name in ("cluster", "family", "service", "capacity") if name in match
    )


class FaultEngine:
    """The rules of one server, in the order in which they came; the first that fires counts.

    :param clock: of `for_seconds`, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rules: list[FaultRule] = []
        self._made = 0

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        return tuple(self._rules)

    def add(self, rule: Mapping[str, Any]) -> FaultRule:
        """Add a rule.

        :raises ValueError: the rule is wrong; one sentence says how.
        """
        made = FaultRule.from_json(f"fault-{self._made + 1}", rule, self._clock())
        self._made += 1
        self._rules.append(made)
        return made

    def clear(self) -> None:
        for rule in self.rules:
            self.remove(rule.id)

    def remove(self, rule_id: str) -> bool:
        """Remove a rule; False when there is none with that id."""
        found = next((rule for rule in self._rules if rule.id == rule_id), None)
        if found is not None:
            found.removed = True
            self._rules.remove(found)
        return found is not None

    def is_active(self, rule: FaultRule) -> bool:
        """Whether the rule still is one."""
        return rule.is_active(self._clock())

    def firing(self, subject: Subject, effects: frozenset[str] = FATES) -> FaultRule | None:
        """The first rule with one of those effects that matches and fires, or None; that uses it up by one."""
        for rule in self.rules:
            if (
                effects.isdisjoint(rule.effect)
                or (rule.times is not None and rule.fired >= rule.times)
                or not rule.is_active(self._clock())
                or not matches(rule.match, subject)
                or (subject.memory_mib or 0) >= rule.effect.get("out_of_memory_below_mib", float("inf"))
                or (subject.ephemeral_gib or 0) >= rule.effect.get("disk_full_below_gib", float("inf"))
            ):
                continue
            if rule.probability >= 1 or rule.chance.random() < rule.probability:
                rule.fired += 1
                return rule
        return None

    def effect_on(self, subject: Subject, effects: frozenset[str] = FATES) -> Mapping[str, Any] | None:
        """The effect of the rule that fires, or None."""
        rule = self.firing(subject, effects)
        return None if rule is None else rule.effect
