"""The aiobotocore clients of a fleet, created when needed, and created anew when AWS no longer accepts them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.raw_tasks import take_as_json
from ecs_feature.detached import is_cancelled, spawn_detached

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 20.0
"""The shortest time between two renewals: each looks up the connection, and may assume a role."""
RENEWAL_SECONDS: Final = 60.0
"""Timeout of one renewal."""
RETIRED_SECONDS: Final = 120.0
"""How long replaced clients stay open, for the calls that they are making."""


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
        making = self._made.get(key)
        if making is None:
            making = self._made[key] = asyncio.get_running_loop().create_task(make())
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            if making.cancelled() and not is_cancelled():
                raise RuntimeError("the AWS clients were closed while they were made") from None
            raise
        except BaseException:
            # Another caller may have replaced it already.
            if self._made.get(key) is making:
                del self._made[key]
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


@dataclass(eq=False)
class RenewedClients:
    """Clients that can be renewed from the connection: a new hook, session and credentials.

    A session loads its credentials once. When they have expired, calls fail until they are loaded again
    (apache/airflow#36179).
    """

    connection: AwsConnection
    clock: Callable[[], float] = time.monotonic
    _clients: AwsClients = field(init=False)
    _retired: dict[asyncio.Task[None], AwsClients] = field(default_factory=dict)
    _renewal: asyncio.Task[None] | None = None
    _renewed_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._clients = AwsClients(self.connection)

    async def get(self, service: str, *, region: str = "", direct: bool = False) -> Any:
        """The client of a service, as :meth:`AwsClients.get`. Do not keep it for longer than one call."""
        return await self._clients.get(service, region=region, direct=direct)

    async def renew(self) -> None:
        """Replace the clients, and wait for the new ones. See :meth:`renew_soon`."""
        await asyncio.wait({self._started_renewal()})

    def renew_soon(self) -> None:
        """Start to replace the clients, at most once every :data:`RENEW_SECONDS`; callers during a renewal share it.

        The old ones stay when no new ones can be made.
        """
        self._started_renewal()

    def _started_renewal(self) -> asyncio.Task[None]:
        if self._renewal is None or (self._renewal.done() and self.clock() - self._renewed_at >= RENEW_SECONDS):
            self._renewed_at = self.clock()
            self._renewal = spawn_detached(self._renew())
        return self._renewal

    async def close(self) -> None:
        for task in (self._renewal, *self._retired):
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, (self._renewal, *self._retired)), return_exceptions=True)
        for clients in (self._clients, *self._retired.values()):
            await clients.close()
        self._retired.clear()

    async def _renew(self) -> None:
        fresh = AwsClients(self.connection)
        try:
            async with asyncio.timeout(RENEWAL_SECONDS):
                await asyncio.gather(fresh.get("ecs"), fresh.get("ecs", direct=True))
        except BaseException as error:
            await fresh.close()
            if not isinstance(error, Exception):
                raise
            log.warning("New AWS clients cannot be made from the connection: %s", error or type(error).__name__)
            return
        replaced, self._clients = self._clients, fresh
        closing = spawn_detached(self._close_later(replaced))
        self._retired[closing] = replaced
        log.info("AWS clients were renewed from the connection.")

    async def _close_later(self, clients: AwsClients) -> None:
        await asyncio.sleep(RETIRED_SECONDS)
        await clients.close()
        del self._retired[asyncio.current_task()]  # type: ignore[arg-type]
