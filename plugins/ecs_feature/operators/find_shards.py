"""Finds the shards of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.errors import translated
from ecs_feature.environment import filled
from ecs_feature.exceptions import EcsFeatureError, SelectionError
from ecs_feature.operators.partitioned import PartitionedOperator
from ecs_feature.operators.patience import patiently
from ecs_feature.shards.selection import ALL_FOUND, params_of, select
from ecs_feature.shards.sources import called, checked, listed


class FindShardsOperator(PartitionedOperator):
    """Asks a callable, or lists folders in S3, for the run's shards, and restricts them to the param ``shards``.

    XCom: the list of names, which the shards' mapped tasks are expanded over; and where that is not all,
    ``all_found``.

    :param source: an S3 listing (``s3://bucket/raw/ds={{ ds }}/carrier=*/``), or empty with ``function``.
    :param function: called as ``function(day=..., input_uri=..., aws_conn_id=..., region_name=...)``, with
        ``partition=`` when it takes that.
    :param params_prefix: what the names of the pipeline's params begin with.
    """

    template_fields: Sequence[str] = ("source", "day", "partition_key", "input_uri")
    ui_color = "#dae8fc"

    def __init__(
        self,
        *,
        source: str = "",
        function: Callable[..., Iterable[str]] | None = None,
        day: str = "{{ ds }}",
        partition_key: str = "",
        input_uri: str = "",
        params_prefix: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = filled(source, where="source")
        self.function = function
        self.day = day
        self.partition_key = partition_key or (day if self.partition is None else "{{ partition }}")
        self.input_uri = filled(input_uri, where="input_uri")
        self.params_prefix = params_prefix

    def execute(self, context: Any) -> list[str]:
        try:
            found = self._found()
            params = params_of(context["params"], self.params_prefix)
            chosen = select({**params, "variants": None}, shards=found, variants=())
        except SelectionError as error:
            raise AirflowFailException(str(error)) from error
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        self.log.info("%d shards found, %d in this run.", len(found), len(chosen.shards))
        if len(chosen.shards) < len(found):
            context["ti"].xcom_push(key=ALL_FOUND, value=found)
        return list(chosen.shards)

    def _found(self) -> list[str]:
        if self.function is not None:
            found = called(
                self.function,
                partition=self.partition_key,
                day=self.day,
                input_uri=self.input_uri,
                aws_conn_id=self.aws.aws_conn_id,
                region_name=self.aws.region_name,
            )
            return checked(found, getattr(self.function, "__name__", repr(self.function)))
        return checked(patiently(self._list, self.log), self.source)

    def _list(self) -> list[str]:
        with translated(self.source):
            return listed(self.aws.client("s3"), self.source)
