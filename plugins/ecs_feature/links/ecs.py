"""Links from a shard to its ECS task and its log in the AWS console."""

from __future__ import annotations

from typing import Any, ClassVar, Final
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink

from ecs_feature.shards.records import LaunchedTask, launched_task

_DOMAINS: Final = {
    "aws": "aws.amazon.com",
    "aws-cn": "amazonaws.cn",
    "aws-us-gov": "amazonaws-us-gov.com",
}


class TaskLink(BaseOperatorLink):  # type: ignore[misc]
    """A page about the task that a try of a shard has launched last.

    Airflow's own way is one XCom for each link. These read the record that the shard leaves anyway: an XCom is a
    transaction of the triggerer, and two of them cost it as much as all else that it does to end the shard. So they
    work where the plugin is loaded, in the API server, and for the classes in ``operators``; who subclasses
    ``EcsShardOperator`` adds the class there.
    """

    operators: ClassVar[list[type]] = []

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        task = launched_task(_xcoms(ti_key), ti_key.try_number)
        return self.url(task) if task is not None else ""

    def url(self, task: LaunchedTask) -> str:
        """The page's address."""
        raise NotImplementedError


class EcsTaskLink(TaskLink):
    """The ECS task in the console."""

    name = "ECS task"

    def url(self, task: LaunchedTask) -> str:
        return task_url(task.arn)


class EcsTaskLogLink(TaskLink):
    """The log of the ECS task in the console."""

    name = "ECS task log"

    def url(self, task: LaunchedTask) -> str:
        return task_url(task.arn, tab=f"logs?selectedContainer={quote(task.container)}")


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


def _xcoms(ti_key: Any) -> dict[str, Any]:
    """What a task instance has left, by key, from the database of the API server."""
    from airflow.models.xcom import XComModel  # of the API server; no DAG file and no task gets here
    from airflow.utils.session import create_session

    query = XComModel.get_many(
        run_id=ti_key.run_id, dag_ids=ti_key.dag_id, task_ids=ti_key.task_id, map_indexes=ti_key.map_index
    )
    with create_session() as session:
        return dict(session.execute(query.with_only_columns(XComModel.key, XComModel.value)).tuples().all())
