"""Looks at the ECS services while a test does something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devstack import provision
from ecs_feature.services.leases import leases_of

LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Look:
    """One service at one moment.

    :param at: seconds since the epoch, when the answer was asked for.
    :param leases: holder -> count, as the service's tags have them.
    """

    service: str
    at: float
    running: int
    desired: int
    leases: dict[str, int]


@contextmanager
def watched_services(ecs: Any, names: list[str]) -> Iterator[list[Look]]:
    """A list that grows while the block runs; DescribeServices is asked a few times a second."""
    looks: list[Look] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            at = time.time()
            answer = ecs.describe_services(cluster=provision.CLUSTER, services=names, include=["TAGS"])
            looks.extend(_look(service, at) for service in answer["services"])
            over.wait(LOOK_SECONDS)

    thread = threading.Thread(target=watch, name="watched-services")
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def _look(service: dict[str, Any], at: float) -> Look:
    tags = [(tag["key"], tag["value"]) for tag in service.get("tags", ())]
    leases = {lease.holder: lease.count for lease in leases_of(tags).values() if lease is not None}
    return Look(service["serviceName"], at, service["runningCount"], service["desiredCount"], leases)
