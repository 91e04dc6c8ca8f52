"""Brings a run's raw data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ecs_feature.operators.partitioned import PartitionedOperator
from ecs_feature.shards.sources import called


class IngestOperator(PartitionedOperator):
    """Calls the pipeline's ``ingest``; its XCom is what that returns.

    :param function: called as ``function(day=..., input_uri=..., aws_conn_id=..., region_name=...)``, with
        ``partition=`` when it takes that.
    :param note: a sentence that the log ends with.
    """

    template_fields: Sequence[str] = ("day", "partition_key", "input_uri")
    ui_color = "#ffefeb"

    def __init__(
        self,
        *,
        function: Callable[..., Any],
        day: str = "{{ ds }}",
        partition_key: str = "",
        input_uri: str = "",
        note: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.function = function
        self.day = day
        self.partition_key = partition_key or (day if self.partition is None else "{{ partition }}")
        self.input_uri = input_uri
        self.note = note

    def execute(self, context: Any) -> Any:
        brought = called(
            self.function,
            partition=self.partition_key,
            day=self.day,
            input_uri=self.input_uri,
            aws_conn_id=self.aws.aws_conn_id,
            region_name=self.aws.region_name,
        )
        if self.note:
            self.log.info("%s", self.note)
        return brought
