"""LocalFargate: a server in a thread of this process, for tests."""

from __future__ import annotations

import asyncio
import threading
from functools import cached_property
from types import TracebackType
from typing import Any

from fargate_local.endpoint.calls import Call
from fargate_local.faults import FaultRule
from fargate_local.server import Server
from fargate_local.settings import Settings


class LocalFargate:
    """A local Fargate for the length of a `with` block.

    moto's state (S3, Logs, ...) belongs to the process: entering resets it, for every server in the process.

        with LocalFargate(Settings(images=Path("include/images"))) as aws:
            aws.client("ecs").create_cluster(clusterName="features")
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._error: BaseException | None = None
        self._session_lock = threading.Lock()

    def __enter__(self) -> LocalFargate:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="fargate-local", daemon=True)
        self._thread.start()
        started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._running.stop)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    @property
    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("LocalFargate is not running: use it in a `with` block")
        return self._server

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.session.Session()

    @property
    def endpoint_url(self) -> str:
        """For `AWS_ENDPOINT_URL` or `endpoint_url=`."""
        return self._running.endpoint_url

    @property
    def environ(self) -> dict[str, str]:
        """The variables with which any AWS SDK or CLI talks to this server."""
        return self._running.environ

    def client(self, service: str, **options: Any) -> Any:
        """A new boto3 client of this server."""
        given = {
            "region_name": self._settings.region,
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": self.environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.environ["AWS_SECRET_ACCESS_KEY"],
        }
        with self._session_lock:  # a session makes one client at a time
            return self._session.client(service, **(given | options))

    def calls(self, operation: str | None = None) -> list[Call]:
        """The calls that came in, of one operation or of all, oldest first."""
        return self._running.calls.of(operation)

    def add_fault(self, rule: dict[str, Any]) -> FaultRule:
        """Add a fault rule.

        :raises ValueError: the rule is wrong; one sentence says how.
        """
        return self._running.faults.add(rule)

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            self._error = error
        finally:
            started.set()

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = Server(self._settings)
        server.moto.reset()
        self._server = server
        ready = asyncio.Event()
        serving = asyncio.create_task(server.serve(ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if ready.is_set():
            started.set()
        await serving
