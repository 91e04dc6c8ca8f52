"""What the price of a launch depends on, beside what DescribeTasks shows of its task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ecs_feature.aws.resources import MANAGED_INSTANCES, EcsTask
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.fleet.fleet import Fleet
from ecs_feature.tasks.cost import Billing
from ecs_feature.tasks.launch import Launch

BILLING_SECONDS: Final = 30.0
"""How long to ask: the shard has ended, and its end does not wait for longer."""


async def billing_of(fleet: Fleet, launch: Launch, task: EcsTask | None, tell: Callable[[str], None]) -> Billing:
    """Of a launch that has ended; what cannot be read in time is left out.

    :param tell: told why something is not known.
    """
    if task is None or not task.managed:
        return Billing(launch.volumes)
    kind = of = ""
    try:
        async with asyncio.timeout(BILLING_SECONDS):
            kind = await fleet.provider_kind(launch.cluster, task.capacity_provider)
            of = await fleet.instance_type(launch.cluster, task.container_instance)
    except (TimeoutError, EcsFeatureError) as error:
        tell(f"the price of its instance is not known: {error or f'no answer within {BILLING_SECONDS:.0f} s'}")
    return Billing(launch.volumes, kind or f"{MANAGED_INSTANCES}/UNKNOWN", of)
