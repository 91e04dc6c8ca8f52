"""What the seed decides of a scenario: which shards, which tries, which calls, when each kill comes. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devstack.chaos.scenarios import LATER_SECONDS, RETRIES, Scenario, Side


def chance(seed: int, *names: object) -> random.Random:
    """A source of chance of its own for every purpose, the same for the same seed."""
    return random.Random("/".join(map(str, (seed, *names))))


def picks(scenario: Scenario, share: float, seed: int, purpose: str) -> tuple[str, ...]:
    """A seeded share of a scenario's shards, at least one of them unless the share is 0."""
    if not share:
        return ()
    count = max(1, round(share * scenario.shards))
    return tuple(sorted(chance(seed, scenario.name, purpose).sample(scenario.shard_names(), count)))


def failing_tries(scenario: Scenario, seed: int) -> tuple[str, ...]:
    """The tries that fail by the shard's own code, like ``s03:1``; the first of the shards fails as often as it may."""
    shards = picks(scenario, scenario.failing, seed, "failing")
    return tuple(
        f"{shard}:{attempt}"
        for position, shard in enumerate(shards)
        for attempt in range(1, (RETRIES if position == 0 else 1) + 1)
    )


def working_seconds(scenario: Scenario, seed: int, *, last_run: bool) -> dict[str, float]:
    """Shard -> how long it works."""
    if last_run and scenario.brief_seconds:
        return dict.fromkeys(scenario.shard_names(), scenario.brief_seconds)
    long = picks(scenario, 0.5 if scenario.long_seconds else 0.0, seed, "long")
    return {shard: scenario.long_seconds if shard in long else scenario.seconds for shard in scenario.shard_names()}


def seed_that_strikes(chance_of_all: random.Random, probability: float, draws: int) -> int:
    """A seed with which a rule of that probability fires at least once in so many draws: no fault, no finding."""
    while True:
        seed = chance_of_all.randrange(1 << 30)
        rule = random.Random(seed)
        if probability >= 1 or any(rule.random() < probability for _ in range(draws)):
            return seed


def sides_of(scenario: Scenario, sides: Sequence[Side]) -> tuple[Side, ...]:
    """Those of the sides that the scenario has."""
    return tuple(side for side in sides if side in scenario.sides)


def user_agent(scenario: Scenario, side: Side) -> str:
    """What the calls of a side's own connection add to their User-Agent; no other has it."""
    return f"chaos/{scenario.dag_id(side)}"


@dataclass(frozen=True)
class Rule:
    """A fault rule as it is posted.

    :param seconds: how long after the first RunTask call it is removed; None: at the scenario's end.
    :param cluster: whose RunTask call that is; empty: the last side's.
    :param after: how long after that call it is posted; 0: before the scenario.
    """

    body: Mapping[str, Any]
    seconds: float | None = None
    cluster: str = ""
    after: float = 0.0


def rules(scenario: Scenario, sides: Sequence[Side], seed: int) -> list[Rule]:
    """The fault rules of a scenario: each side gets its own with the same seed; those that hit everything come once."""
    found: list[Rule] = []
    for number, fault in enumerate(scenario.faults):
        rule_seed = seed_that_strikes(
            chance(seed, scenario.name, "rule", number), fault.probability, math.ceil(scenario.shards / 2)
        )
        body = {**fault.effect, "probability": fault.probability, "seed": rule_seed}
        if fault.everywhere:
            found.append(Rule({**body, "match": dict(fault.match)}, fault.seconds))
            continue
        for side in sides:
            cluster = scenario.cluster(side)
            if fault.callers:
                match = {**fault.match, "user_agent": user_agent(scenario, side)}
                begin = fault.after + LATER_SECONDS[side]
                end = None if fault.seconds is None else begin + fault.seconds
                found.append(Rule({**body, "match": match}, end, cluster, begin))
                continue
            match = {**fault.match, "cluster": cluster}
            if not fault.picked:
                found.append(Rule({**body, "match": match}, fault.seconds, cluster))
            for shard in picks(scenario, fault.picked, seed, f"rule {number}"):
                struck = {**body, "match": {**match, "environment": {"SHARD": shard}}, "times": 1}
                found.append(Rule(struck, fault.seconds, cluster))
    return found


@dataclass(frozen=True)
class PlannedKill:
    """Kill a component ``at`` seconds after every side launches shards, start it again ``down`` seconds later."""

    at: float
    component: str
    down: float


def kill_plan(scenario: Scenario, seed: int) -> list[PlannedKill]:
    """The kills of a scenario in the order of their times."""
    plan: list[PlannedKill] = []
    for kill in scenario.kills:
        rng = chance(seed, scenario.name, "kill", *kill.components)
        at = rng.uniform(0.0, kill.every_seconds[0])
        for _ in range(kill.times):
            plan.append(
                PlannedKill(round(at, 2), rng.choice(kill.components), round(rng.uniform(*kill.down_seconds), 2))
            )
            at += rng.uniform(*kill.every_seconds)
    return sorted(plan, key=lambda each: each.at)
