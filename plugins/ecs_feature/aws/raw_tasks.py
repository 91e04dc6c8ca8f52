"""AWS's answers about tasks, taken as the JSON that they are.

botocore walks through the shape of an answer value by value: 25 ms for 100 tasks of DescribeTasks, which with a call a
second for each 100 running shards was a quarter of all that a triggerer did. :class:`ecs_feature.aws.resources.EcsTask`
reads the few values that it wants, with or without that.
"""

from __future__ import annotations

import json
from typing import Any, Final

OPERATIONS: Final = ("DescribeTasks", "RunTask")


def take_as_json(client: Any) -> None:
    """Have an ``ecs`` client of botocore or aiobotocore give tasks as they come: time stamps are numbers.

    It is done in botocore's event before an answer is parsed. Errors, and protocols other than JSON, stay botocore's.
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
        return  # botocore tells what is wrong with it
    customized_response_dict |= {name: answer[name] for name in ("tasks", "failures") if name in answer}
    response_dict["body"] = b"{}"
