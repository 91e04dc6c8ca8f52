"""Which AWS is meant: the arguments that every operator, sensor, trigger and fleet has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecs_feature.hooks.ecs import EcsFeatureHook


@dataclass(frozen=True)
class AwsConnection:
    """Clients of one Airflow connection and region, as of :class:`ecs_feature.hooks.ecs.EcsFeatureHook`.

    :param aws_conn_id: the Airflow connection; None uses boto3's own credential chain.
    :param region_name: the region; default: the connection's.
    :param verify: whether, or with which CA bundle, TLS certificates are verified.
    """

    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    verify: bool | str | None = None

    def hook(self, service: str) -> EcsFeatureHook:
        """Imports the hook when needed: that takes longer than parsing a DAG file."""
        from ecs_feature.hooks.ecs import EcsFeatureHook

        return EcsFeatureHook(service, self.aws_conn_id, self.region_name, self.verify)

    def client(self, service: str) -> Any:
        """A boto3 client of a service."""
        return self.hook(service).client()
