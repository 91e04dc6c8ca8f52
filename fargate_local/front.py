"""The HTTP endpoint: ECS calls to us, everything else to moto, and our own paths under /_fargate_local/."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fargate_local import credentials
from fargate_local.api.context import Context
from fargate_local.api.dispatch import handler_of
from fargate_local.calls import Call, CallLog
from fargate_local.control import Control
from fargate_local.errors import ApiError
from fargate_local.faults import FaultEngine, call_subject
from fargate_local.model import TARGET_PREFIX, EcsModel
from fargate_local.moto_backend import MotoBackend
from fargate_local.settings import ACCESS_KEY_ID

log = logging.getLogger("fargate_local")

MOTO_THREADS = 16
CONTROL_PREFIX = "/_fargate_local/"


class Front:
    """The ASGI application of one server."""

    def __init__(
        self, ecs: Context, model: EcsModel, moto: MotoBackend, faults: FaultEngine, calls: CallLog, control: Control
    ) -> None:
        self._ecs = ecs
        self._model = model
        self._moto = moto
        self._faults = faults
        self._calls = calls
        self._control = control
        self._threads = ThreadPoolExecutor(MOTO_THREADS, thread_name_prefix="moto")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = request.url.path
        if path.startswith(CONTROL_PREFIX):
            response: Response | None = await self._control.answer(request, path.removeprefix(CONTROL_PREFIX))
        else:
            body = b"".join([chunk async for chunk in request.stream()])
            target = request.headers.get("x-amz-target", "")
            if target.startswith(TARGET_PREFIX + "."):
                response = await self._ecs_call(request, target.removeprefix(TARGET_PREFIX + "."), body)
            else:
                response = await self._moto_call(request, target, body)
        if response is not None:
            await response(scope, receive, send)
        else:
            await _break_off(receive)

    async def _ecs_call(self, request: Request, operation: str, body: bytes) -> Response | None:
        at, parameters = self._ecs.now(), _json_object(body)
        effect: Mapping[str, Any] = {}
        try:
            key, _ = credentials.access_key_of(request.headers, request.url.query)
            if not await self._accepts(key):
                raise credentials.json_refusal(key)
            self._ecs.quotas.take_call(operation)
            effect = self._faults.effect_on(call_subject(operation, parameters or {})) or {}
            await asyncio.sleep(float(effect.get("delay_seconds", 0)))
            if "error" in effect:
                raise _injected(effect)
            answer = await self._run(operation, parameters, effect.get("failure"))
            status, error = 200, None
        except ApiError as failed:
            answer, status, error = failed.body(), failed.status, failed.code
        except Exception:
            log.exception("%s", operation)
            answer = ApiError("ServerException", "fargate_local failed; --verbose shows why", 500).body()
            status, error = 500, "ServerException"
        dropped = bool(effect.get("drop_answer"))
        self._calls.add(Call(operation, at, parameters or {}, 0 if dropped else status, error))
        log.info("%s -> %s %s", operation, status, error or "")
        return None if dropped else _json_response(answer, status)

    async def _run(
        self, operation: str, parameters: dict[str, Any] | None, failure: str | None = None
    ) -> dict[str, Any]:
        if operation not in self._model.operations:
            raise ApiError("UnknownOperationException", f"ECS has no operation {operation}.")
        handler = handler_of(operation)
        if parameters is None:
            raise ApiError("SerializationException", "The body of the request is not a JSON object.")
        self._model.check_input(operation, parameters)
        if failure is not None:
            return {"tasks": [], "failures": [{"reason": failure}]}
        answer = handler(self._ecs, parameters)
        if inspect.isawaitable(answer):
            answer = await answer
        self._model.check_output(operation, answer)
        result: dict[str, Any] = answer
        return result

    async def _moto_call(self, request: Request, target: str, body: bytes) -> Response:
        key, service = credentials.access_key_of(request.headers, request.url.query)
        if key is not None and not await self._accepts(key):
            if target:
                refused = credentials.json_refusal(key)
                return _json_response(refused.body(), refused.status)
            status, text = credentials.xml_refusal(service)
            return Response(text, status, media_type="application/xml")
        raw_path = request.scope.get("raw_path") or request.url.path.encode()
        url = f"http://{request.headers.get('host', '127.0.0.1')}{raw_path.decode('latin-1').split('?')[0]}"
        query = request.scope["query_string"].decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        loop = asyncio.get_running_loop()
        url = f"{url}?{query}" if query else url
        at = self._ecs.now()
        try:
            moto = await loop.run_in_executor(self._threads, self._moto.call, request.method, url, headers, body)
        except Exception as error:
            log.exception("%s %s %s", request.method, url, target)
            return _moto_failure(error, bool(target))
        if target:
            operation = target.rpartition(".")[2]
            self._calls.add(Call(operation, at, _json_object(body) or {}, moto.status, None))
        response = Response(moto.body, moto.status)
        # HEAD answers carry the length of what GET would send; moto gives it, Starlette must not replace it.
        own = {name.lower() for name, _ in moto.headers}
        kept = [(name, value) for name, value in response.raw_headers if name.decode() not in own]
        response.raw_headers = [
            *kept,
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in moto.headers),
        ]
        return response

    async def _accepts(self, access_key: str | None) -> bool:
        if access_key == ACCESS_KEY_ID:
            return True
        return access_key is not None and await asyncio.to_thread(self._moto.knows_access_key, access_key)


def _injected(effect: Mapping[str, Any]) -> ApiError:
    code = str(effect["error"])
    server_side = code in {"ServerException", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException"}
    message = "Rate exceeded" if code == "ThrottlingException" else "fargate_local: a fault was asked for"
    return ApiError(code, str(effect.get("message", message)), int(effect.get("status", 500 if server_side else 400)))


async def _break_off(receive: Receive) -> None:
    """Close the connection without an answer. ASGI has no word for it; uvicorn's request knows its transport."""
    receive.__self__.transport.abort()  # type: ignore[attr-defined]
    await receive()


def _moto_failure(error: Exception, json_protocol: bool) -> Response:
    """What moto cannot do is answered in the protocol of the call, with a status that SDKs do not retry."""
    missing = isinstance(error, NotImplementedError)
    failed = ApiError("NotImplemented" if missing else "InternalFailure", f"moto: {error}", 501 if missing else 500)
    if json_protocol:
        return _json_response(failed.body(), failed.status)
    return Response(credentials.xml_error("", failed.code, failed.message), failed.status, media_type="application/xml")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _json_response(answer: Mapping[str, Any], status: int) -> Response:
    headers = {"x-amzn-requestid": str(uuid.uuid4())}
    return Response(json.dumps(answer), status, headers, media_type="application/x-amz-json-1.1")
