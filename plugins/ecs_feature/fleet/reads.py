"""What a fleet reads of AWS, with patience: tasks, task definitions, clusters, result files."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from ecs_feature.aws import limits
from ecs_feature.aws.clients import RenewedClients
from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.error_codes import NOT_THERE_CODES
from ecs_feature.aws.errors import error_code
from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.aws.s3 import of_s3
from ecs_feature.aws.shared_reads import SharedReads
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.fleet.sight import PatientCalls, is_outage, patience_seconds
from ecs_feature.tasks.capacity import Strategy, kind_of

log = logging.getLogger(__name__)

RENEWED_SECONDS: Final = 5.0
"""Within this time clients are renewed, and have been asked."""


class AwsReads:
    """The clients of one connection and region, and what is read through them.

    :param answer_seconds: the most that a call may take, repetitions included; infinity: it waits for AWS. Otherwise
        credentials and access are waited for only until they were renewed once.
    """

    def __init__(self, connection: AwsConnection, answer_seconds: float) -> None:
        self._clients = RenewedClients(connection)
        patience = patience_seconds() if math.isinf(answer_seconds) else RENEWED_SECONDS
        self._calls = PatientCalls(self._clients.renew, patience, answer_seconds)
        self._call = self._calls.call
        self._definitions = SharedReads(self._describe_definition)
        self._defaults = SharedReads(self._describe_defaults)
        self._kinds = SharedReads(self._describe_kind)
        self._instance_types = SharedReads(self._describe_instance_type)
        burst, rate = limits.TASK_READ_CALLS
        self._searches = Limiter(burst / 2, rate / 2)  # half of what AWS allows

    async def tasks_started_by(
        self, cluster: str, started_by: str, *statuses: Literal["RUNNING", "STOPPED"]
    ) -> list[EcsTask]:
        """The tasks with that ``startedBy`` that ECS still shows, newest first.

        :param statuses: desired statuses; default: both.
        """
        arns: list[str] = []
        for status in statuses or ("RUNNING", "STOPPED"):
            await self._searches.acquire()
            arns += await self._list(cluster, startedBy=started_by, desiredStatus=status)
        tasks = await self.tasks(cluster, arns)
        return sorted(tasks, key=lambda task: task.created_at.timestamp() if task.created_at else 0.0, reverse=True)

    async def running_tasks(self, cluster: str) -> list[EcsTask]:
        """All tasks of the cluster that run or start."""
        return await self.tasks(cluster, await self._list(cluster, desiredStatus="RUNNING"))

    async def tasks(self, cluster: str, arns: Iterable[str]) -> list[EcsTask]:
        """The tasks that ECS still shows; 100 per call."""
        unique = list(dict.fromkeys(arns))
        tasks = []
        for start in range(0, len(unique), limits.DESCRIBE_TASKS):
            tasks += await self._describe(cluster, unique[start : start + limits.DESCRIBE_TASKS])
        return tasks

    async def _list(self, cluster: str, **request: str) -> list[str]:
        arns: list[str] = []
        while True:
            found, token = await self._call_service(
                "ecs",
                "list_tasks",
                {"cluster": cluster, **request},
                read=lambda answer: (answer["taskArns"], answer.get("nextToken")),
            )
            arns += found
            if not token:
                return arns
            request["nextToken"] = token

    async def object_exists(self, uri: str) -> bool:
        """Whether the S3 object ``s3://bucket/key`` is there.

        :raises AccessDeniedError: access is denied. Without s3:ListBucket S3 also answers this when it does not exist.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")

        async def head() -> bool:
            s3 = await self._clients.get("s3")
            try:
                of_s3(await s3.head_object(Bucket=bucket, Key=key))
            except ClientError as error:
                if error_code(error) in NOT_THERE_CODES:
                    return False
                raise
            return True

        found: bool = await self._call(head)
        return found

    async def task_definition(self, arn: str) -> dict[str, Any]:
        """A task definition revision as described; read once, because it never changes."""
        return await self._definitions.get(arn)

    async def _describe_definition(self, arn: str) -> dict[str, Any]:
        definition: dict[str, Any] = await self._call_service(
            "ecs",
            "describe_task_definition",
            {"taskDefinition": arn},
            optional=True,
            read=lambda answer: answer["taskDefinition"],
        )
        return definition

    async def default_strategy(self, cluster: str) -> Strategy | None:
        """The cluster's default capacity provider strategy, read once; empty: it has none; None: not allowed to know.

        :raises AwsError: AWS cannot be asked for now.
        """
        return await self._defaults.get(cluster)

    async def _describe_defaults(self, cluster: str) -> Strategy | None:
        try:
            found: list[Any] = await self._call_service(
                "ecs",
                "describe_clusters",
                {"clusters": [cluster]},
                optional=True,
                read=lambda answer: [one.get("defaultCapacityProviderStrategy", ()) for one in answer["clusters"]],
            )
        except EcsFeatureError as error:
            if is_outage(error):
                raise
            log.info("The default capacity of %s is not known; it counts as Fargate: %s", cluster, error)
            return None
        return tuple(found[0]) if found else None

    async def provider_kind(self, cluster: str, provider: str) -> str:
        """The kind of a capacity provider, see :func:`ecs_feature.tasks.capacity.kind_of`; read once.

        :returns: empty without a provider.
        :raises AwsError: it may not be read, or AWS cannot be asked for now.
        """
        return await self._kinds.get((cluster, provider)) if provider else ""

    async def _describe_kind(self, key: tuple[str, str]) -> str:
        kind: str = await self._call_service(
            "ecs",
            "describe_capacity_providers",
            {"cluster": key[0], "capacityProviders": [key[1]]},
            optional=True,
            read=lambda answer: next((kind_of(one) for one in answer["capacityProviders"]), ""),
        )
        return kind

    async def instance_type(self, cluster: str, instance: str) -> str:
        """The EC2 instance type of a container instance, such as ``m7g.large``; read once.

        :returns: empty without an instance, or when ECS does not say.
        :raises AwsError: it may not be read, or AWS cannot be asked for now.
        """
        return await self._instance_types.get((cluster, instance)) if instance else ""

    async def _describe_instance_type(self, key: tuple[str, str]) -> str:
        def read(answer: Any) -> str:
            found = [each for one in answer["containerInstances"] for each in one.get("attributes", ())]
            return next((str(each["value"]) for each in found if each["name"] == "ecs.instance-type"), "")

        of: str = await self._call_service(
            "ecs",
            "describe_container_instances",
            {"cluster": key[0], "containerInstances": [key[1]]},
            optional=True,
            read=read,
        )
        return of

    async def _describe(self, cluster: str, arns: list[str]) -> list[EcsTask]:
        tasks: list[EcsTask] = await self._call_service(
            "ecs",
            "describe_tasks",
            {"cluster": cluster, "tasks": arns},
            read=lambda answer: [EcsTask.from_aws(task) for task in answer["tasks"]],
        )
        return tasks

    async def _call_service(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        optional: bool = False,
        read: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """
        :param read: what the caller needs of the answer; where that fails, the answer has no sense, and AWS is asked
            again.
        """

        async def call() -> Any:
            client = await self._clients.get(service)
            return read(await getattr(client, operation)(**parameters))

        return await self._call(call, optional=optional)

    async def _call_optional(self, service: str, operation: str, **parameters: Any) -> Any:
        """A call that shards can do without: where it is not allowed, that is raised at once."""
        return await self._call_service(service, operation, parameters, optional=True)
