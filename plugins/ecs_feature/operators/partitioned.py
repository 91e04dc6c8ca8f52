"""Operators whose templates know the run's partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecs_feature.aws.operator import AwsOperator
from ecs_feature.partitions.runs import Partitioning, run_variables


class PartitionedOperator(AwsOperator):
    """An operator in whose templates ``ds``, ``ds_nodash`` and ``partition`` are those of the run's partition.

    :param partition: :meth:`ecs_feature.partitions.runs.Partitioning.to_dict`; None: the templates are Airflow's.
    """

    def __init__(self, *, partition: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.partition = None if partition is None else dict(partition)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        environment = jinja_env or self.get_template_env()
        super().render_template_fields(self.with_partition(context, environment), environment)

    def with_partition(self, context: Any, environment: Any) -> Any:
        """The context for templates."""
        if self.partition is None:
            return context
        return {**context, **run_variables(context, Partitioning.from_dict(self.partition), environment)}
