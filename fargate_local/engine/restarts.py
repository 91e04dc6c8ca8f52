"""A container's restart policy, by AmazonECS/latest/APIReference/API_ContainerRestartPolicy. Pure."""

from __future__ import annotations

from typing import Final

from fargate_local.shapes import JsonObject

RESTART_SECONDS: Final = 300
"""How long a container must have run before it is restarted, unless its policy says otherwise."""


def may_restart(definition: JsonObject, exit_code: int, ran_seconds: float) -> bool:
    """Whether a container that has ended is started again in its task.

    :param ran_seconds: since its start, or since its last restart.
    """
    policy: JsonObject = definition.get("restartPolicy", {})
    return (
        bool(policy.get("enabled"))
        and exit_code not in policy.get("ignoredExitCodes", [])
        and ran_seconds >= policy.get("restartAttemptPeriod", RESTART_SECONDS)
    )
