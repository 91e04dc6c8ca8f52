"""Answers about tasks as plain JSON, without botocore's parser.

botocore needs 25 ms to parse 100 tasks of DescribeTasks; with a call per second for each 100 running shards, that was a
quarter of a triggerer's CPU. :class:`ecs_feature.aws.resources.EcsTask` reads the few values it needs from either form.
"""

from __future__ import annotations

import json
from typing import Any, Final

OPERATIONS: Final = ("DescribeTasks", "RunTask")


def take_as_json(client: Any) -> None:
    """Make an ``ecs`` client (botocore or aiobotocore) return tasks as plain JSON; timestamps are numbers.

    Uses botocore's event before an answer is parsed. Errors, and protocols other than JSON, are parsed as usual.
    """
    for operation in OPERATIONS:
        client.meta.events.register(f"before-parse.ecs.{operation}", _take)


def _take(
    *, operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    if response_dict["status_code"] >= 300 or operation_model.service_model.resolved_protocol != "json":
        return
    try:
        answer = json.loads(response_dict["body"])
    except ValueError:
        return  # botocore reports what is wrong
    customized_response_dict |= {name: answer[name] for name in ("tasks", "failures") if name in answer}
    response_dict["body"] = b"{}"
