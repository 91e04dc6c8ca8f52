"""moto: S3, CloudWatch Logs, Secrets Manager and every other service but ECS, in this process."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from fargate_local.moto_direct import MotoDirect
from fargate_local.settings import ACCESS_KEY_ID

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class MotoAnswer:
    """An HTTP answer of moto."""

    status: int
    headers: Headers
    body: bytes


class MotoBackend:
    """moto's server application, called directly; its state belongs to the process. Blocks: for worker threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.s3_lock, self._logs_lock = threading.Lock(), threading.Lock()
        self.direct = MotoDirect(self.s3_lock, self._logs_lock)
        self._app: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._session: Any = None

    def reset(self) -> None:
        """Forget all buckets, log groups, secrets and so on."""
        from moto.core.base_backend import BackendDict
        from moto.core.model_instances import reset_model_data

        BackendDict.reset()
        reset_model_data()

    def call(self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> MotoAnswer:
        """One HTTP request.

        :param url: path and query as they came in, still quoted; with or without scheme and host.
        """
        environ = _environ(method, url, headers, body)
        started: list[Any] = []

        def start_response(status: str, headers: Headers, exc_info: object = None) -> Callable[[bytes], object]:
            started[:] = [int(status.split(" ", 1)[0]), headers]
            return lambda data: None

        with self._lock_for(environ):
            chunks = self._application()(environ, start_response)
            try:
                content = b"".join(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        return MotoAnswer(started[0], started[1], content)

    def client(self, service: str, region: str) -> Any:
        """A boto3 client that reaches moto without HTTP."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._new_client(service, region)
            return self._clients[key]

    def knows_access_key(self, access_key_id: str) -> bool:
        """Whether moto's STS or IAM handed out that key."""
        from moto.iam.models import iam_backends
        from moto.sts.models import sts_backends

        for backends in (*sts_backends.values(), *iam_backends.values()):
            for backend in backends.values():
                roles = getattr(backend, "assumed_roles", [])
                if any(role.access_key_id == access_key_id for role in roles):
                    return True
                if access_key_id in getattr(backend, "access_keys", {}):
                    return True
        return False

    def _lock_for(self, environ: dict[str, Any]) -> AbstractContextManager[object]:
        """What a request has to hold.

        moto checks If-Match and If-None-Match and then writes: one write at a time makes that one step, as S3 does.
        And it walks through all keys of a bucket, or all streams of a log group, while others may add some: lists
        of keys wait for writes, and calls of CloudWatch Logs for one another.
        """
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("Logs_"):
            return self._logs_lock
        listed = "/" not in environ["PATH_INFO"].strip("/")
        if (environ["REQUEST_METHOD"] not in {"GET", "HEAD"} or listed) and _is_s3(environ):
            return self.s3_lock
        return contextlib.nullcontext()

    def _application(self) -> Any:
        with self._lock:
            if self._app is None:
                # moto's EC2 is here for the VPC of a load balancer: without its machine images it starts 2 s sooner.
                os.environ.setdefault("MOTO_AMIS_PATH", str(Path(__file__).with_name("no_machine_images.json")))
                from moto.server import DomainDispatcherApplication, create_backend_app

                self._app = DomainDispatcherApplication(create_backend_app)
            return self._app

    def _new_client(self, service: str, region: str) -> Any:
        import boto3
        from botocore.config import Config

        if self._session is None:
            self._session = boto3.session.Session()
        client = self._session.client(
            service,
            region_name=region,
            endpoint_url="http://127.0.0.1",
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=ACCESS_KEY_ID,
            config=Config(retries={"max_attempts": 1}, parameter_validation=False),
        )
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        from botocore.awsrequest import AWSResponse

        headers = [(name, v.decode() if isinstance(v, bytes) else str(v)) for name, v in request.headers.items()]
        body = request.body or b""
        answer = self.call(request.method, request.url, headers, body.encode() if isinstance(body, str) else body)
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Raw(answer.body))


class _Raw(io.BytesIO):
    """A body as botocore reads it from urllib3."""

    def stream(self, **_: object) -> Iterable[bytes]:
        while chunk := self.read(65536):
            yield chunk


def _is_s3(environ: dict[str, Any]) -> bool:
    return "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "") or "/s3/aws4_request" in environ["RAW_URI"]


def _environ(method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, Any]:
    """A WSGI environment, with what moto needs beyond the standard: the raw URI and metadata names as they were."""
    parts = urlsplit(url if "://" in url else f"http://127.0.0.1{url}")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(parts.path or "/").decode("latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    names: dict[str, str] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if key in {"TRANSFER_ENCODING", "CONTENT_LENGTH"}:
            continue
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        if "_" in name and name.lower().startswith("x-amz-meta-"):
            names[key] = name
        environ[key] = value
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["moto.preserved_header_names"] = names
    return environ
