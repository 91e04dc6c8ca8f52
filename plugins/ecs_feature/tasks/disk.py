"""Whether a container failed because its task's ephemeral storage was full, from its last lines. Pure.

ECS does not say it: the container simply exits with a failure. Its last lines are a hint, not a proof, so they decide
only whether the shard is launched again with more; nothing is refused because of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks.containers import TAKEN_ALONG
from ecs_feature.tasks.outcomes import Kind, Outcome, disk_hint

LAST_LINES: Final = 10
"""How many of the last lines may say it: a program that goes on afterwards ended for another reason."""
_FULL: Final = re.compile(
    r"no space left on (the )?device|\bENOSPC\b|\[Errno 28\]|disk quota exceeded|not enough space on the disk", re.I
)
_ANOTHER: Final = re.compile(r"^\s*([\w.]+\.)?\w*(Error|Exception)\b")
"""The last line of a traceback: the error that the program ended with."""
_CAUSED: Final = re.compile(r"^\s*(During handling of the above|The above exception was|Caused by)\b", re.I)
_OTHER_STORAGE: Final = (
    "efsVolumeConfiguration",
    "dockerVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "configuredAtLaunch",
)
_SHARED_MEMORY: Final = "/dev/shm"
_REASON_CHARACTERS: Final = 200


def blamed(outcome: Outcome, task: EcsTask, lines: Sequence[str], definition: Mapping[str, Any]) -> Outcome:
    """The outcome, with the disk to blame where the container's last lines say so.

    :param lines: of the container that decided, oldest first.
    :param definition: as DescribeTaskDefinition shows it; empty when it is not known.
    """
    failed = outcome.kind is Kind.APPLICATION_FAILURE and outcome.exit_code not in TAKEN_ALONG
    if not failed or task.on_instances:
        return outcome
    line = telling_line(lines, elsewhere(definition, outcome.container))
    if not line:
        return outcome
    return replace(
        outcome, kind=Kind.DISK_FULL, reason=" ".join(line.split())[:_REASON_CHARACTERS], hint=disk_hint(task)
    )


def telling_line(lines: Sequence[str], others: Sequence[str] = ()) -> str:
    """The last of the last lines that says that the ephemeral storage is full; empty when none does.

    Not a line about a path in ``others``, nor one that another error follows, unless that one was caused by it.
    """
    found, caused = "", False
    for line in [line for line in lines if line.strip()][-LAST_LINES:]:
        if _FULL.search(line):
            found, caused = ("" if _names(line, others) else line), False
        elif _CAUSED.search(line):
            caused = True
        elif found and not caused and _ANOTHER.search(line):
            found = ""
    return found


def elsewhere(definition: Mapping[str, Any], container: str) -> tuple[str, ...]:
    """The paths in a container that are not on the task's ephemeral storage: its EFS, EBS, Docker and FSx volumes.

    :param definition: as DescribeTaskDefinition shows it; empty when it is not known.
    """
    others = {
        one.get("name") for one in definition.get("volumes") or () if any(one.get(name) for name in _OTHER_STORAGE)
    }
    points = [
        point
        for one in definition.get("containerDefinitions") or ()
        if one.get("name") == container
        for point in one.get("mountPoints") or ()
    ]
    paths = (str(point.get("containerPath") or "") for point in points if point.get("sourceVolume") in others)
    return (*(path for path in paths if path), _SHARED_MEMORY)


def _names(line: str, paths: Sequence[str]) -> bool:
    return any(re.search(rf"{re.escape(path.rstrip('/'))}(?![\w.-])", line) for path in paths)
