"""What is done to the runs: each scenario's faults, kills and meddling. Pure; the seed is in plans.py."""

from __future__ import annotations

from collections.abc import Mapping
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
LATER_SECONDS: Final[Mapping[Side, float]] = {"ours": 0.0, "stock": 16.0}
"""How much later the blind minute comes on a side: the stock operator's launches come one by one from the workers."""
BLIND_AFTER_SECONDS: Final = 14.0
"""Then the shards of the brief run have ended, and its services go down."""
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
    :param callers: whether it hits the calls of the scenario's own connection, whatever they name.
    :param after: how long after the first launch it comes; 0: it is there from the beginning.
    :param seconds: how long it is there once shards are launched; None: until the scenario has ended.
    :param picked: strike each of so many seeded shards once, instead of by chance (a share of the scenario's shards).
    """

    match: Mapping[str, Any]
    effect: Mapping[str, Any]
    probability: float = 1.0
    seconds: float | None = None
    everywhere: bool = False
    picked: float = 0.0
    callers: bool = False
    after: float = 0.0


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
class Blindness:
    """The side's front (:mod:`devstack.chaos.front`) fails so long, from so many seconds after the first launch."""

    after: float
    seconds: float

    def covers(self, side: Side, since: float | None) -> bool:
        """:param since: the first launch of the side, in seconds; None: there was none."""
        begin = self.after + LATER_SECONDS[side]
        return since is not None and begin <= since < begin + self.seconds


@dataclass(frozen=True)
class Meddling:
    """Somebody else writes to the scenario's service while shards run.

    :param times: how often; every kind of :data:`devstack.chaos.meddler.ACTIONS` comes once before one comes again.
    :param until: the last time, in seconds after the first launch; no shard ends before.
    """

    times: int
    until: float


@dataclass(frozen=True)
class Scenario:
    """What happens to the runs of two DAGs (one a side) with ``shards`` shards each.

    :param seconds: how long a shard works when nothing is in its way.
    :param long_seconds: how long half of the shards do instead; 0: none of them.
    :param brief_seconds: how long all shards of the last run do instead; 0: as in the others.
    :param undisturbed: whether nothing may touch the shards: each has one try and one launch, and nobody stops it.
    :param count: how many tasks of its service each run holds; ``baseline``: how many are always there.
    :param sides: that it has; services are ours only.
    :param phase: scenarios with the same one run at the same time, unless ``alone``.
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
    long_seconds: float = 0.0
    brief_seconds: float = 0.0
    shard_timeout_seconds: float = SHARD_TIMEOUT_SECONDS
    undisturbed: bool = False
    count: int = 1
    baseline: int = 0
    blindness: Blindness | None = None
    meddling: Meddling | None = None
    sides: tuple[Side, ...] = SIDES
    phase: str = "faults"

    def shard_names(self) -> tuple[str, ...]:
        return tuple(f"s{number:02}" for number in range(1, self.shards + 1))

    def dag_id(self, side: Side) -> str:
        return f"chaos_{self.name}_{side}"

    def cluster(self, side: Side) -> str:
        return f"chaos-{self.name}-{side}".replace("_", "-")

    def service(self) -> str:
        return f"chaos-{self.name}".replace("_", "-")

    def connection(self, side: Side) -> str:
        """The id of the Airflow connection of its tasks: one of its own where it has a front."""
        return f"aws_{self.dag_id(side)}" if self.blindness is not None else "aws_default"


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


def blindness(after: float, seconds: float) -> tuple[Fault, ...]:
    """All calls that get through the front fail, each in one of these ways by equal chance; S3 words its own."""
    json_ways: tuple[dict[str, Any], ...] = (
        {"error": "ExpiredTokenException", "message": "The security token included in the request is expired"},
        {"error": "AccessDeniedException", "message": "User: ours is not authorized to perform this operation"},
        {"error": "ServerException", "status": 500},
        *_WRONG_ANSWERS,
    )
    s3_ways: tuple[dict[str, Any], ...] = (
        {"error": "ExpiredToken", "message": "The provided token has expired."},
        {"error": "AccessDenied", "message": "Access Denied", "status": 403},
        {"error": "InternalError", "status": 500},
        *_WRONG_ANSWERS,
    )
    return tuple(
        Fault({"service_api": service}, way, 1 / (len(ways) - number), seconds, callers=True, after=after)
        for service, ways in (("s3", s3_ways), ("*", json_ways))
        for number, way in enumerate(ways)
    )


_WRONG_ANSWERS: Final[tuple[dict[str, Any], ...]] = (
    {"answer": "<html><body>Sign in to the network</body></html>", "media_type": "text/html"},
    {"answer": '{"tasks": null, "services": [{}], "events": "none", "taskArns": 7}'},
    {"answer": "{}"},
    {"close": True},
    {"reset": True},
)
"""Not of AWS: a proxy's page, answers without sense, no answer."""
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
        "blindness",
        "every call fails for a minute: TLS, proxy, token, access, nonsense, resets",
        runs=2,
        shards=8,
        seconds=45,
        long_seconds=110,
        brief_seconds=8,
        shard_timeout_seconds=240.0,
        faults=blindness(BLIND_AFTER_SECONDS, 60),
        blindness=Blindness(BLIND_AFTER_SECONDS, 60),
        undisturbed=True,
        deadline_seconds=400.0,
        phase="trust",
    ),
    Scenario(
        "meddler",
        "somebody else writes to the run's service: tags, desired count, deployments",
        runs=2,
        shards=5,
        seconds=150,
        shard_timeout_seconds=240.0,
        count=2,
        baseline=1,
        meddling=Meddling(times=9, until=148.0),
        undisturbed=True,
        sides=("ours",),
        deadline_seconds=400.0,
        phase="trust",
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
SMALL_BLINDNESS: Final = Scenario(
    "small_blindness",
    "every call fails for 25 s, for the test suite",
    shards=6,
    seconds=10,
    long_seconds=45,
    shard_timeout_seconds=240.0,
    faults=blindness(4.0, 25),
    blindness=Blindness(4.0, 25),
    undisturbed=True,
)
SMALL_MEDDLER: Final = Scenario(
    "small_meddler",
    "somebody else writes to the run's service, for the test suite",
    shards=3,
    seconds=55,
    shard_timeout_seconds=240.0,
    count=2,
    baseline=1,
    meddling=Meddling(times=3, until=8.0),
    undisturbed=True,
    sides=("ours",),
)
KNOWN: Final = (*SCENARIOS, SMALL, SMALL_BLINDNESS, SMALL_MEDDLER)
"""All that have DAGs."""
