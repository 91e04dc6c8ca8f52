"""What the operators and sensors that call AWS have in common."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from ecs_feature.aws.connection import AwsConnection


class AwsOperator(BaseOperator):  # type: ignore[misc]
    """An operator with the amazon provider's three arguments, see :class:`ecs_feature.aws.connection.AwsConnection`.

    Beside another base class it comes first, so that the arguments end here.
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
        self.aws = AwsConnection(aws_conn_id, region_name, verify)
