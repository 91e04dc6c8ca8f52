"""The amazon provider's hook, with the client settings that many shards need."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from botocore.config import Config

# Retries of the SDK's standard mode take care of passing faults; what stays is waited for by the caller.
# docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=50,
)

# For calls that a queue of ours repeats: while AWS throttles, every further try of the SDK's would make it worse.
DIRECT_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=30, max_pool_connections=100)


class EcsFeatureHook(AwsGenericHook):  # type: ignore[misc]
    """Clients for ECS and the services around it, from one ``aws`` connection.

    Roles, endpoints, proxies and the connection's own ``config_kwargs`` work as in every hook of the amazon
    provider; the connection's settings win over :data:`CLIENT_CONFIG`.

    :param client_type: the boto3 service, ``ecs`` by default.
    :param aws_conn_id: the Airflow connection; None uses boto3's own credential chain.
    :param region_name: the region; default: the connection's.
    :param verify: whether, or with which CA bundle, TLS certificates are verified.
    :param direct: each call is made once and not repeated by the SDK, whatever the connection says.
    """

    def __init__(
        self,
        client_type: str = "ecs",
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        *,
        direct: bool = False,
    ) -> None:
        super().__init__(aws_conn_id, client_type=client_type, region_name=region_name, verify=verify)
        self.direct = direct
        self._sessions: dict[str | None, Any] = {}

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """A session; an asynchronous one is made once a region."""
        if not deferrable:
            return super().get_session(region_name)
        if region_name not in self._sessions:
            self._sessions[region_name] = super().get_session(region_name, deferrable=True)
        return self._sessions[region_name]

    def for_service(self, client_type: str, region_name: str = "", *, direct: bool = False) -> EcsFeatureHook:
        """A hook for another service or region, with the connection and the sessions of this one.

        The connection is not looked up again: in a triggerer that is four requests to the supervisor, which answers
        one a round. Nor is a role assumed again.
        """
        region = region_name or self._region_name
        other = EcsFeatureHook(client_type, self.aws_conn_id, region, self._verify, direct=direct)
        other.conn_config = AwsConnectionWrapper(conn=self.conn_config, region_name=region)
        other._sessions = self._sessions
        return other

    def client(self) -> Any:
        """A boto3 client."""
        return self.get_client_type(region_name=self.region_name, config=self._client_config())

    def async_client(self) -> Any:
        """An aiobotocore client, to be entered with ``async with``. Looks up the connection: call it in a thread."""
        return self.get_client_type(region_name=self.region_name, config=self._client_config(), deferrable=True)

    def _client_config(self) -> Config:
        if not self.direct:
            return CLIENT_CONFIG.merge(self.config)
        return CLIENT_CONFIG.merge(DIRECT_CONFIG).merge(self.config).merge(Config(retries=DIRECT_CONFIG.retries))
