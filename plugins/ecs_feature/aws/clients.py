"""The aiobotocore clients of a fleet, created when needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.raw_tasks import take_as_json


@dataclass(eq=False)
class AwsClients:
    """The aiobotocore clients of one fleet, by service, for one connection and region.

    Close them when no call is running any more.
    """

    connection: AwsConnection
    _made: dict[tuple[object, ...], asyncio.Task[Any]] = field(default_factory=dict)
    _resources: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def get(self, service: str, *, region: str = "", direct: bool = False) -> Any:
        """The client of a service.

        :param region: a region other than the fleet's.
        :param direct: a client without retries, for callers that retry themselves.
        """
        return await self._once((service, region, direct), partial(self._open, service, region, direct))

    async def close(self) -> None:
        for making in self._made.values():
            making.cancel()
        await asyncio.gather(*self._made.values(), return_exceptions=True)
        self._made.clear()
        await self._resources.aclose()

    async def _once(self, key: tuple[object, ...], make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """The result of ``make``, which the first caller starts; after a failure the next caller tries again."""
        if key not in self._made:
            self._made[key] = asyncio.get_running_loop().create_task(make())
        try:
            return await asyncio.shield(self._made[key])
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._made.pop(key, None)
            raise

    async def _open(self, service: str, region: str, direct: bool) -> Any:
        first = await self._once(("connection",), self._look_up)

        def creator() -> Any:
            return first.for_service(service, region, direct=direct).async_client()

        # In a thread: making a session may assume a role.
        client = await self._resources.enter_async_context(await sync_to_async(creator)())
        if service == "ecs":
            take_as_json(client)
        return client

    async def _look_up(self) -> Any:
        """A hook with the connection looked up, shared by all clients."""

        def look_up() -> Any:
            hook = self.connection.hook("ecs")
            _ = hook.conn_config
            return hook

        # In a thread: the hook's import takes a second, looking up the connection a database or an API server.
        return await sync_to_async(look_up)()
