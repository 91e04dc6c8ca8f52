"""Links from a shard to its ECS task and its log in the AWS console."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from ecs_feature.resources import EcsTask

_DOMAINS: Final = {
    "aws": "aws.amazon.com",
    "aws-cn": "amazonaws.cn",
    "aws-us-gov": "amazonaws-us-gov.com",
}


class _StoredLink(BaseOperatorLink):  # type: ignore[misc]
    """A link that whoever ran the shard has left in an XCom."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class EcsTaskLink(_StoredLink):
    """The ECS task in the console."""

    name = "ECS task"


class EcsTaskLogLink(_StoredLink):
    """The log of the ECS task in the console."""

    name = "ECS task log"


def links_of_task(task: EcsTask, container: str) -> dict[str, str]:
    """The XComs, by key, that the links read."""
    return {
        EcsTaskLink().xcom_key: task_url(task.arn),
        EcsTaskLogLink().xcom_key: task_url(task.arn, tab=f"logs?selectedContainer={quote(container)}"),
    }


def task_url(task_arn: str, tab: str = "configuration") -> str:
    """The console's page of a task.

    :param task_arn: ``arn:PARTITION:ecs:REGION:ACCOUNT:task/CLUSTER/ID``.
    """
    _, partition, _, region, _, path = task_arn.split(":", 5)
    _, cluster, task_id = path.split("/")
    domain = _DOMAINS.get(partition, "aws.amazon.com")
    return (
        f"https://{region}.console.{domain}/ecs/v2/clusters/{quote(cluster)}/tasks/{task_id}/{tab}"
        f"{'&' if '?' in tab else '?'}region={region}"
    )
