"""What the operators and sensors that call AWS have in common."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.environment import filled


class AwsOperator(BaseOperator):  # type: ignore[misc]
    """An operator with the amazon provider's three arguments, see :class:`ecs_feature.aws.connection.AwsConnection`.

    Beside another base class it comes first, so that the arguments end here. ``${NAME}`` in an operator's strings is
    the environment file's value (:mod:`ecs_feature.environment`), looked up when the DAG is parsed.
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.aws = AwsConnection(
            filled(aws_conn_id, where="aws_conn_id"), filled(region_name, where="region_name"), verify
        )
