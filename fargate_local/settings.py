"""What a local Fargate is started with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fargate_local.instances import InstanceSpec

ACCESS_KEY_ID = "local"
"""The only access key id that the server accepts, besides those that its own STS and IAM hand out."""


RUNTIMES = ("process", "docker", "simulated")


REAL_CHECK_SECONDS = 3.0
"""A check is a process in the container: a Python each half a second takes all of a quarter of a vCPU."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one server; every value has a default that suits tests on one machine.

    :param host: address to listen on.
    :param port: port to listen on; 0 takes a free one.
    :param images: folder whose sub-folders stand for container images (last path component, `-` as `_`).
    :param state_dir: folder for EFS volumes and tasks' scratch space; None makes a temporary one.
    :param keep: whether S3's objects and ECS's task definitions are read from `state_dir/kept` at the start and kept
        there, see `keep.py`.
    :param efs: host folder of each EFS file system id; others live in `state_dir/efs/<id>`.
    :param runtime: what runs containers: `process` (a child process each), `docker` (a container on an engine each) or
        `simulated` (a timer each).
    :param engine: the engine's address, `unix:///path` or `tcp://host:port`; None: DOCKER_HOST, else Docker's default.
    :param engine_network: the engine's network for all tasks; None: a network of the server's own, or the one that the
        server's own container is in.
    :param owner: whose containers they are on the engine: of an owner only one server runs, and it removes at its start
        what an earlier one left behind. None: the server's own.
    :param advertised_host: the name by which others reach this machine, for the URLs that tasks and clients are given;
        None: the address that the server listens on.
    :param pace: factor on the realistic delays between task states (see `limits.STATE_SECONDS`): 1.0 is like
        Fargate (a task runs after about 35 s), 0 does not wait at all.
    :param quotas: whether ECS's API and launch quotas apply.
    :param fargate_vcpus: how many vCPUs may run at once on FARGATE, and as many on FARGATE_SPOT; counts with `quotas`.
    :param instances: EC2 container instances by cluster; they are registered when the cluster is created.
    :param account_id: the account in every ARN.
    :param region: the region in every ARN.
    :param visible_after_seconds: a new task is MISSING in DescribeTasks for this long, as ECS is eventually consistent.
    :param health_interval_seconds: upper bound for the interval of health checks (container and target group) until
        a target is healthy; afterwards the interval that the user asked for applies. None: never shortened. Checks in
        real containers are `REAL_CHECK_SECONDS` apart, at least.
    :param memory_interval_seconds: how often the memory of running containers is measured.
    :param stopped_task_seconds: how long a stopped task stays visible (ECS: at least one hour).
    :param load_balancer_ports: fixed local ports by target group name; others get a free one.
    :param load_balancer_range: the first and the last port of all other load balancers: each has a port that depends on
        its name alone, so that its URL outlives the server.
    :param verbose: log lines to stderr.
    :param clock: wall clock, in seconds since the epoch.
    :param monotonic: clock of the quotas, in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 0
    images: Path | None = None
    state_dir: Path | None = None
    keep: bool = False
    efs: Mapping[str, Path] = field(default_factory=dict)
    runtime: str = "process"
    engine: str | None = None
    engine_network: str | None = None
    owner: str | None = None
    advertised_host: str | None = None
    pace: float = 0.01
    quotas: bool = True
    fargate_vcpus: float = 4000.0
    instances: Mapping[str, Sequence[InstanceSpec]] = field(default_factory=dict)
    account_id: str = "123456789012"
    region: str = "us-east-1"
    visible_after_seconds: float = 0.0
    health_interval_seconds: float | None = 0.5
    memory_interval_seconds: float = 0.5
    stopped_task_seconds: float = 3600.0
    load_balancer_ports: Mapping[str, int] = field(default_factory=dict)
    load_balancer_range: tuple[int, int] | None = None
    verbose: bool = False
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    @property
    def check_seconds(self) -> float | None:
        """The bound for the interval of container health checks."""
        bound = self.health_interval_seconds
        return bound if bound is None or self.runtime != "docker" else max(bound, REAL_CHECK_SECONDS)

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise ValueError(f"runtime is {self.runtime!r}: it must be one of {', '.join(RUNTIMES)}")
        if self.keep and self.state_dir is None:
            raise ValueError("keep is set without state_dir: name the folder in which the state is kept")
        if self.fargate_vcpus <= 0:
            raise ValueError(f"fargate_vcpus is {self.fargate_vcpus}: it must be more than 0; AWS's default is 4000")
        if self.pace < 0:
            raise ValueError(f"pace is {self.pace}: it must be 0 or more; 0.01 is the default, 1.0 is like Fargate")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}: it must be between 0 and 65535; 0 takes a free one")
        first, last = self.load_balancer_range or (1, 1)
        if not 0 < first <= last <= 65535:
            raise ValueError(f"load_balancer_range is {first}-{last}: it must be like 20000-29999, at most 65535")
        if self.images is not None and not self.images.is_dir():
            raise ValueError(f"images is {self.images}: no such folder; name the folder that holds the images")
