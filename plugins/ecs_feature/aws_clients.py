"""AWS clients, made when they are needed: the hook's import takes longer than a DAG file's parse."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async

from ecs_feature.task_answers import take_as_json


def client_of(service: str, aws: Mapping[str, Any]) -> Any:
    """A boto3 client of a service.

    :param aws: ``aws_conn_id``, ``region_name`` and ``verify``, as of :class:`ecs_feature.hooks.ecs.EcsFeatureHook`.
    """
    from ecs_feature.hooks.ecs import EcsFeatureHook

    return EcsFeatureHook(service, **aws).client()


@dataclass(eq=False)
class AwsClients:
    """The aiobotocore clients of one fleet by service, from one connection and region.

    Close them when nobody calls any more.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    _clients: dict[tuple[str, str, bool], asyncio.Task[Any]] = field(default_factory=dict)
    _resources: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def get(self, service: str, *, region: str = "", direct: bool = False) -> Any:
        """The client of a service.

        :param region: another region than the fleet's.
        :param direct: one that makes each call once, for callers that repeat calls themselves.
        """
        key = (service, region, direct)
        if key not in self._clients:
            self._clients[key] = asyncio.get_running_loop().create_task(self._open(*key))
        try:
            return await asyncio.shield(self._clients[key])
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._clients.pop(key, None)
            raise

    async def close(self) -> None:
        for opening in self._clients.values():
            opening.cancel()
        await asyncio.gather(*self._clients.values(), return_exceptions=True)
        self._clients.clear()
        await self._resources.aclose()

    async def _open(self, service: str, region: str, direct: bool) -> Any:
        def creator() -> Any:
            from ecs_feature.hooks.ecs import EcsFeatureHook

            hook = EcsFeatureHook(service, self.aws_conn_id, region or self.region_name, self.verify, direct=direct)
            return hook.async_client()

        # In a thread: the hook's import takes a second, looking up the connection a database or an API server.
        context = await sync_to_async(creator)()
        client = await self._resources.enter_async_context(context)
        if service == "ecs":
            take_as_json(client)
        return client
