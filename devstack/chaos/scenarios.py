"""What is done to the runs: each scenario's faults and kills, and how many shards must survive. Pure and seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Side = Literal["ours", "stock"]
SIDES: Final[tuple[Side, ...]] = ("ours", "stock")

RETRIES: Final = 2
"""Of every shard, on both sides; no shard is made to fail by its own code more often than this."""
RETRY_DELAY_SECONDS: Final = 2.0
POLL_SECONDS: Final = 3
SHARD_TIMEOUT_SECONDS: Final = 60.0
START_TIMEOUT_SECONDS: Final = 15.0
"""After which a task that is stuck before RUNNING is given up; a healthy one starts within a second here."""
MEMORY_MIB: Final = 512
"""Of the task definition; a hungry shard takes more."""
MAX_MEMORY_MIB: Final = 2048
SHARD_FAMILY: Final = "chaos-shard"
SERVICE_FAMILY: Final = "chaos-service"
CONTAINER: Final = "shard"
OUTAGE: Final = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
PULL_FAILURE: Final = (
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref "
    "chaos-shard: dial tcp: i/o timeout"
)


@dataclass(frozen=True)
class Fault:
    """One fault rule of the local Fargate, before it is bound to a cluster and a seed.

    :param everywhere: whether it hits every call of every side, or only what names the scenario's own cluster.
    :param seconds: how long it is there once shards are launched; None: until the scenario has ended.
    :param picked: strike each of so many seeded shards once, instead of by chance (a share of the scenario's shards).
    """

    match: Mapping[str, Any]
    effect: Mapping[str, Any]
    probability: float = 1.0
    seconds: float | None = None
    everywhere: bool = False
    picked: float = 0.0


@dataclass(frozen=True)
class Kill:
    """Kills of one kind of component with -9, at random moments, each started again a few seconds later.

    :param components: one of them is drawn each time.
    :param every_seconds: least and greatest time between two kills; the first comes within the least.
    :param down_seconds: least and greatest time until it is started again.
    """

    components: tuple[str, ...]
    times: int
    every_seconds: tuple[float, float] = (7.0, 12.0)
    down_seconds: tuple[float, float] = (0.5, 3.0)


@dataclass(frozen=True)
class Scenario:
    """What happens to the runs of two DAGs (one a side) with ``shards`` shards each.

    :param seconds: how long a shard works when nothing is in its way.
    :param failing: share of the shards whose own code fails, once or twice, at most as often as there are retries.
    :param hungry: share of the shards that need more memory than the task definition gives.
    :param alone: its faults or kills hit everything, so nothing else runs meanwhile.
    :param deadline_seconds: a shard that has not ended by then is lost.
    """

    name: str
    about: str
    runs: int = 1
    shards: int = 10
    seconds: float = 4.0
    capacity: Literal["on_demand", "spot"] = "on_demand"
    faults: tuple[Fault, ...] = ()
    kills: tuple[Kill, ...] = ()
    failing: float = 0.0
    hungry: float = 0.0
    alone: bool = False
    deadline_seconds: float = 240.0

    def shard_names(self) -> tuple[str, ...]:
        return tuple(f"s{number:02}" for number in range(1, self.shards + 1))

    def dag_id(self, side: Side) -> str:
        return f"chaos_{self.name}_{side}"

    def cluster(self, side: Side) -> str:
        return f"chaos-{self.name}-{side}".replace("_", "-")

    def service(self) -> str:
        return f"chaos-{self.name}".replace("_", "-")


TRIGGERERS: Final = ("triggerer-1", "triggerer-2")
_SPOT: Final = Fault(
    {"capacity": "FARGATE_SPOT"}, {"stop_code": "SpotInterruption", "after_seconds": 1.5}, probability=0.3
)
_START: Final = Fault({"family": SHARD_FAMILY}, {"start_failure": PULL_FAILURE}, probability=0.1)
_STUCK: Final = Fault({"family": SHARD_FAMILY}, {"stuck": "PENDING"}, picked=0.05)


def storm(probability: float, seconds: float) -> tuple[Fault, ...]:
    """So many of all calls to ECS, CloudWatch Logs and S3 are refused as each of them words it."""
    throttled = {"error": "ThrottlingException"}
    return (
        Fault({"operation": "*"}, throttled, probability, seconds, everywhere=True),
        Fault({"service_api": "logs"}, throttled, probability, seconds, everywhere=True),
        Fault({"service_api": "s3"}, {"error": "SlowDown", "status": 503}, probability, seconds, everywhere=True),
    )


_OUTAGE: Final = Fault({"operation": "RunTask"}, {"failure": OUTAGE}, seconds=60)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("capacity_outage", "RunTask finds no capacity for 60 s", faults=(_OUTAGE,)),
    Scenario("spot", "30 % of the Spot tasks are interrupted", capacity="spot", faults=(_SPOT,)),
    Scenario("start_failures", "10 % of the tasks cannot pull their image", faults=(_START,)),
    Scenario("out_of_memory", "a quarter of the shards needs more memory than it has", shards=8, hungry=0.25),
    Scenario("stuck_pending", "5 % of the shards get a task that never leaves PENDING", faults=(_STUCK,)),
    Scenario("application_failures", "20 % of the shards fail by their own code", failing=0.2),
    Scenario(
        "throttle_storm",
        "half of all calls are throttled for a minute",
        seconds=10,
        faults=storm(0.5, 60),
        alone=True,
    ),
    Scenario(
        "triggerer_kills",
        "one of two triggerers is killed, again and again",
        seconds=20,
        kills=(Kill(TRIGGERERS, times=4),),
        alone=True,
    ),
    Scenario(
        "scheduler_kill",
        "the scheduler is killed, with its workers",
        seconds=20,
        kills=(Kill(("scheduler",), times=2, every_seconds=(3.0, 14.0)),),
        alone=True,
    ),
    Scenario(
        "api_server_restart",
        "the API server is killed and comes back after some seconds",
        seconds=15,
        kills=(Kill(("api-server",), times=1, every_seconds=(1.0, 4.0), down_seconds=(4.0, 8.0)),),
        alone=True,
    ),
    Scenario(
        "everything",
        "all of it at once",
        seconds=15,
        capacity="spot",
        faults=(
            _SPOT,
            _START,
            _STUCK,
            Fault({"operation": "RunTask"}, {"failure": OUTAGE}, seconds=15),
            Fault({"operation": "RunTask"}, {"drop_answer": True}, probability=0.2),
            *storm(0.2, 60),
        ),
        kills=(
            Kill(TRIGGERERS, times=3),
            Kill(("scheduler",), times=1, every_seconds=(8.0, 20.0)),
            Kill(("api-server",), times=1, every_seconds=(15.0, 30.0)),
        ),
        failing=0.2,
        hungry=0.1,
        alone=True,
        deadline_seconds=300.0,
    ),
)

SMALL: Final = Scenario(
    "small",
    "a little of all of it, for the test suite",
    seconds=6,
    capacity="spot",
    faults=(
        Fault({"operation": "RunTask"}, {"failure": OUTAGE}, seconds=4),
        Fault({"operation": "RunTask"}, {"drop_answer": True}, probability=0.2),
        *storm(0.5, 20),
        Fault({"capacity": "FARGATE_SPOT"}, {"stop_code": "SpotInterruption", "after_seconds": 1.5}, probability=0.2),
        _STUCK,
    ),
    kills=(Kill(TRIGGERERS, times=1),),
    failing=0.1,
    hungry=0.1,
    alone=True,
    deadline_seconds=150.0,
)
KNOWN: Final = (*SCENARIOS, SMALL)
"""All that have DAGs."""


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


def seed_that_strikes(chance_of_all: random.Random, probability: float, draws: int) -> int:
    """A seed with which a rule of that probability fires at least once in so many draws: no fault, no finding."""
    while True:
        seed = chance_of_all.randrange(1 << 30)
        rule = random.Random(seed)
        if probability >= 1 or any(rule.random() < probability for _ in range(draws)):
            return seed


@dataclass(frozen=True)
class Rule:
    """A fault rule as it is posted.

    :param seconds: how long after the first RunTask call it is removed; None: at the scenario's end.
    :param cluster: whose RunTask call that is; empty: the last side's.
    """

    body: Mapping[str, Any]
    seconds: float | None = None
    cluster: str = ""


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
