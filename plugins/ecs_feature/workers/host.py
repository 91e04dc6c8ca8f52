"""The ECS task that this process runs in, by the agent's word."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"
"""AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html"""
AGENT: Final = "ECS_AGENT_URI"
"""AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html"""
SECONDS: Final = 5.0


@dataclass(frozen=True)
class Host:
    """Where a worker runs.

    :param task_arn: of its ECS task; empty: it does not run on ECS, or the agent does not say.
    :param cluster: its ARN or name.
    :param name: the host's name.
    """

    name: str
    task_arn: str = ""
    cluster: str = ""
    capacity: str = ""

    def __str__(self) -> str:
        return f"{self.name} (ECS task {self.task_arn})" if self.task_arn else self.name


def this_host(environ: Mapping[str, str] = os.environ) -> Host:
    """Where this process runs; without ECS's word when the agent does not answer."""
    name, address = socket.gethostname(), environ.get(METADATA, "")
    if not address:
        return Host(name)
    try:
        said = ask(f"{address}/task")
    except (OSError, ValueError):
        return Host(name)
    return Host(
        name,
        said.get("TaskARN", ""),
        said.get("Cluster", ""),
        said.get("LaunchType") or said.get("CapacityProviderName", ""),
    )


def ask(url: str, body: Mapping[str, Any] | None = None) -> Any:
    """The agent's answer; ``body`` is put there.

    :raises OSError: it cannot be reached, or refuses.
    :raises ValueError: its answer is no JSON.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address of an agent")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json"}, method="GET" if data is None else "PUT"
    )
    # The agent is on the host's own network, whatever proxy the worker has for the rest.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=SECONDS) as answer:
        return json.loads(answer.read())
