"""Faults on demand: rules that name what they match and what happens then. No I/O."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MATCHED = frozenset({"operation", "environment", "family", "service", "cluster", "capacity"})
CALL_EFFECTS = frozenset({"error", "failure", "drop_answer", "delay_seconds"})
TASK_EFFECTS = frozenset({"exit_code", "start_failure", "stop_code", "stuck"})
SETTINGS = frozenset({"match", "times", "probability", "seed", "message", "status", "after_seconds"})


@dataclass
class FaultRule:
    """One rule: it fires `times` times (None: without end), each time with `probability`.

    A rule whose match names an `operation` concerns calls, any other concerns tasks.

    :param match: `operation` ("*" is every call), `cluster`, `family`, `environment` (a part of the environment of a
        container, in a RunTask call of its overrides); for tasks also `service`, `capacity` (FARGATE or FARGATE_SPOT).
    :param effect: of a call: `error` (with `message` and `status`), `failure` (RunTask answers with that reason among
        its failures), `drop_answer` (done, but the caller never hears), `delay_seconds`; of a task: `exit_code`,
        `start_failure`, `stop_code` (after `after_seconds` of running), `stuck` (the state that it stays in).
    """

    id: str
    match: Mapping[str, Any]
    effect: Mapping[str, Any]
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    fired: int = 0
    chance: random.Random = field(default_factory=random.Random)

    @classmethod
    def from_json(cls, id: str, rule: Mapping[str, Any]) -> FaultRule:
        """A rule from what a user posts.

        :raises ValueError: one sentence about the first thing that is wrong.
        """
        match, effect, settings = _split(rule)
        seed = int(settings.get("seed", 0))
        probability = settings.get("probability", 1.0)
        if not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise ValueError(f"probability is {probability!r}: it must be between 0 and 1")
        times = settings.get("times")
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"times is {times!r}: it must be a whole number from 1, or left out for no end")
        return cls(
            id=id, match=match, effect=effect, times=times, probability=float(probability), seed=seed,
            chance=random.Random(seed),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "match": dict(self.match), **self.effect,
            "times": self.times, "probability": self.probability, "seed": self.seed, "fired": self.fired,
        }  # fmt: skip


def _split(rule: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    match = rule.get("match", {})
    if not isinstance(match, Mapping):
        raise ValueError(f"match is {match!r}: it must be an object")
    if unknown := set(match) - MATCHED:
        raise ValueError(f"match has {', '.join(sorted(unknown))}: it may have {', '.join(sorted(MATCHED))}")
    possible = CALL_EFFECTS if "operation" in match else TASK_EFFECTS
    if unknown := set(rule) - possible - SETTINGS:
        raise ValueError(
            f"the rule has {', '.join(sorted(unknown))}: with this match it may have "
            f"{', '.join(sorted(possible | SETTINGS))}"
        )
    effects = {name: rule[name] for name in possible if name in rule}
    if len(effects) != 1:
        raise ValueError(f"the rule has {len(effects)} effects: give one of {', '.join(sorted(possible))}")
    if "failure" in effects and match.get("operation") != "RunTask":
        raise ValueError("failure is an effect of RunTask only: give match the operation RunTask")
    details = {name: rule[name] for name in ("message", "status", "after_seconds") if name in rule}
    return dict(match), effects | details, dict(rule)


@dataclass(frozen=True)
class Subject:
    """What a rule is held against: a call (with its operation) or a task (without)."""

    operation: str | None = None
    cluster: str | None = None
    family: str | None = None
    service: str | None = None
    capacity: str | None = None
    environments: tuple[Mapping[str, str], ...] = ()


def call_subject(operation: str, request: Mapping[str, Any]) -> Subject:
    """What is known of a call from its request, which may be malformed."""
    cluster, definition = request.get("cluster"), request.get("taskDefinition")
    environments = []
    with contextlib.suppress(AttributeError, TypeError, KeyError):
        for override in request.get("overrides", {}).get("containerOverrides", []):
            environments.append({item["name"]: item.get("value", "") for item in override.get("environment", [])})
    return Subject(
        operation=operation,
        cluster=cluster.rpartition("/")[2] if isinstance(cluster, str) else None,
        family=definition.rpartition("/")[2].partition(":")[0] if isinstance(definition, str) else None,
        environments=tuple(environments),
    )


def matches(match: Mapping[str, Any], subject: Subject) -> bool:
    """Whether everything that the match names is so; of several containers' environments one is enough."""
    wanted_environment = match.get("environment")
    if wanted_environment is not None and not any(
        all(environment.get(name) == value for name, value in wanted_environment.items())
        for environment in subject.environments
    ):
        return False
    wanted = match.get("operation")
    if wanted != subject.operation and not (wanted == "*" and subject.operation is not None):
        return False
    return all(
        getattr(subject, name) == match[name] for name in ("cluster", "family", "service", "capacity") if name in match
    )


class FaultEngine:
    """The rules of one server, in the order in which they came; the first that fires counts."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self._made = 0

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        return tuple(self._rules)

    def add(self, rule: Mapping[str, Any]) -> FaultRule:
        """Add a rule.

        :raises ValueError: the rule is wrong; one sentence says how.
        """
        made = FaultRule.from_json(f"fault-{self._made + 1}", rule)
        self._made += 1
        self._rules.append(made)
        return made

    def clear(self) -> None:
        self._rules.clear()

    def effect_on(self, subject: Subject) -> Mapping[str, Any] | None:
        """The effect of the first rule that matches and fires, or None; a rule that fires is used up by one."""
        for rule in self._rules:
            if rule.times is not None and rule.fired >= rule.times:
                continue
            if matches(rule.match, subject) and (rule.probability >= 1 or rule.chance.random() < rule.probability):
                rule.fired += 1
                return rule.effect
        return None
