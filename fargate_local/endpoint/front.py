"""The HTTP endpoint: ECS calls to us, everything else to moto, and our own paths under /_fargate_local/."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fargate_local.api.context import Context
from fargate_local.api.dispatch import handler_of
from fargate_local.api.model import TARGET_PREFIX, EcsModel
from fargate_local.api.tasks import asked_capacity
from fargate_local.api.unsupported import check_support
from fargate_local.endpoint import credentials, service_quotas
from fargate_local.endpoint.agent import PREFIX, Agent
from fargate_local.endpoint.call_names import CallName, name_of
from fargate_local.endpoint.calls import Call, CallLog, json_object
from fargate_local.endpoint.control import Control
from fargate_local.endpoint.wrong_answers import BrokenOff, wrong_answer
from fargate_local.errors import ApiError
from fargate_local.faults import FaultEngine, FaultRule, Subject, call_subject
from fargate_local.moto_backend import MotoBackend
from fargate_local.settings import ACCESS_KEY_ID
from fargate_local.shapes import Shown

log = logging.getLogger("fargate_local")

MOTO_THREADS = 16
HANG_SECONDS = 600.0
HANG_POLL_SECONDS = 0.1
CONTROL_PREFIX = "/_fargate_local/"
JSON_TYPE = "application/x-amz-json-1.1"


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
        self._agent = Agent(ecs.state, partial(self._ecs_call, trusted=True))
        self._threads = ThreadPoolExecutor(MOTO_THREADS, thread_name_prefix="moto")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = request.url.path
        if path.startswith(CONTROL_PREFIX + PREFIX):
            response = await self._agent.answer(request, path.removeprefix(CONTROL_PREFIX + PREFIX))
        elif path.startswith(CONTROL_PREFIX):
            response = await self._control.answer(request, path.removeprefix(CONTROL_PREFIX))
        else:
            body = b"".join([chunk async for chunk in request.stream()])
            target = request.headers.get("x-amz-target", "")
            if target.startswith(TARGET_PREFIX + "."):
                response = await self._ecs_call(request, target.removeprefix(TARGET_PREFIX + "."), body)
            else:
                response = await self._other_call(request, target, body)
        await response(scope, receive, send)

    async def _ecs_call(self, request: Request, operation: str, body: bytes, *, trusted: bool = False) -> Response:
        """Answer a call of ECS.

        :param trusted: it comes from a task's own agent, whose request has no credentials.
        """
        at, parameters = self._ecs.now(), json_object(body)
        gave_up, rule = False, None
        try:
            key, _ = credentials.access_key_of(request.headers, request.url.query)
            if not trusted and not await self._accepts(key):
                raise credentials.json_refusal(key)
            self._ecs.quotas.take_call(operation)
            agent = request.headers.get("user-agent", "")
            subject = call_subject(operation, parameters or {}, self._capacity(parameters), user_agent=agent)
            rule = await self._suffer(subject, request, JSON_TYPE)
            answer = await self._run(operation, parameters, rule.effect.get("failure") if rule else None)
            status, error = 200, None
        except ApiError as failed:
            answer, status, error = failed.body(), failed.status, failed.code
        except _GaveUp:
            answer, status, error, gave_up = {}, 0, None, True
        except _Instead as wrong:
            self._calls.add(Call(operation, at, body, wrong.response.status_code, None))
            return wrong.response
        except Exception:
            log.exception("%s", operation)
            answer = ApiError("ServerException", "fargate_local failed; --verbose shows why", 500).body()
            status, error = 500, "ServerException"
        dropped = gave_up or await self._loses_answer(rule, request)
        self._calls.add(Call(operation, at, body, 0 if dropped else status, error))
        log.info("%s -> %s %s", operation, status, error or "")
        return BrokenOff() if dropped else _json_response(answer, status)

    def _capacity(self, parameters: dict[str, Any] | None) -> str | None:
        return asked_capacity(self._ecs, parameters or {}) if self._faults.rules else None

    async def _suffer(self, subject: Subject, request: Request, media_type: str) -> FaultRule | None:
        """What the rules want of a call before it is done: wait for a delay or a hang; return the rule that fired.

        :raises ApiError: the error that was asked for.
        :raises _Instead: the call is not done and gets no answer of its service.
        :raises _GaveUp: the call hung until its caller left, or for `HANG_SECONDS`.
        """
        rule = self._faults.firing(subject)
        if rule is None:
            return None
        effect = rule.effect
        await asyncio.sleep(float(effect.get("delay_seconds", 0)))
        if "hang" in effect and await self._hangs(rule, request):
            raise _GaveUp
        if (wrong := wrong_answer(effect, media_type)) is not None:
            raise _Instead(wrong)
        if "error" in effect:
            raise injected(effect, subject.service_api)
        return rule

    async def _loses_answer(self, rule: FaultRule | None, request: Request) -> bool:
        """Whether the caller of a call that was done never hears of it; waits while the answer is withheld."""
        if rule is None:
            return False
        return "drop_answer" in rule.effect or ("hang_answer" in rule.effect and await self._hangs(rule, request))

    async def _hangs(self, rule: FaultRule, request: Request) -> bool:
        """Wait until the caller has left or `HANG_SECONDS` are over: True; False as soon as the rule has ended."""
        loop = asyncio.get_running_loop()
        end, left = loop.time() + HANG_SECONDS, asyncio.ensure_future(request.receive())
        try:
            while loop.time() < end and not left.done():
                if not self._faults.is_active(rule):
                    return False
                await asyncio.wait({left}, timeout=HANG_POLL_SECONDS)
            return True
        finally:
            left.cancel()

    async def _run(
        self, operation: str, parameters: dict[str, Any] | None, failure: str | None = None
    ) -> dict[str, Any]:
        if operation not in self._model.operations:
            raise ApiError("UnknownOperationException", f"ECS has no operation {operation}.")
        handler = handler_of(operation)
        if parameters is None:
            raise ApiError("SerializationException", "The body of the request is not a JSON object.")
        parameters = self._model.check_input(operation, parameters)
        check_support(operation, parameters)
        if failure is not None:
            return {"tasks": [], "failures": [{"reason": failure}]}
        answer = handler(self._ecs, parameters)
        if inspect.isawaitable(answer):
            answer = await answer
        self._model.check_output(operation, answer)
        result: dict[str, Any] = answer
        return result

    async def _other_call(self, request: Request, target: str, body: bytes) -> Response:
        key, service = credentials.access_key_of(request.headers, request.url.query)
        if key is not None and not await self._accepts(key):
            if target:
                refused = credentials.json_refusal(key)
                return _json_response(refused.body(), refused.status)
            status, text = credentials.xml_refusal(service)
            return Response(text, status, media_type="application/xml")
        at = self._ecs.now()
        query = request.scope["query_string"].decode("latin-1")
        name = name_of(request.method, request.url.path, query, request.headers, body, service)
        gave_up, rule, error = False, None, None
        try:
            agent = request.headers.get("user-agent", "")
            subject = call_subject(name.operation, {}, service_api=name.service_api, user_agent=agent)
            media_type = JSON_TYPE if name.protocol == "json" else "application/xml"
            rule = await self._suffer(subject, request, media_type) if self._faults.rules else None
            response = self._quota_call(target, body) or await self._moto_call(request, query, target, body)
        except ApiError as failed:
            response, error = _error_response(name, failed, request.method), failed.code
        except _GaveUp:
            response, gave_up = Response(status_code=500), True
        except _Instead as wrong:
            response = wrong.response
        dropped = gave_up or await self._loses_answer(rule, request)
        if target:
            self._calls.add(Call(name.operation, at, body, 0 if dropped else response.status_code, error))
        else:
            self._calls.count(name.operation or request.method)
        return BrokenOff() if dropped else response

    def _quota_call(self, target: str, body: bytes) -> Response | None:
        """The answer to GetServiceQuota for Fargate; None for every other call."""
        parameters = json_object(body) if target == service_quotas.TARGET else None
        if not parameters or parameters.get("ServiceCode") != service_quotas.SERVICE_CODE:
            return None
        return _json_response(service_quotas.get_service_quota(self._ecs.settings, parameters), 200)

    async def _moto_call(self, request: Request, query: str, target: str, body: bytes) -> Response:
        raw_path = request.scope.get("raw_path") or request.url.path.encode()
        url = f"http://{request.headers.get('host', '127.0.0.1')}{raw_path.decode('latin-1').split('?')[0]}"
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        loop = asyncio.get_running_loop()
        url = f"{url}?{query}" if query else url
        try:
            moto = await loop.run_in_executor(self._threads, self._moto.call, request.method, url, headers, body)
        except Exception as error:
            log.exception("%s %s %s", request.method, url, target)
            return _moto_failure(error, bool(target))
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


class _GaveUp(Exception):
    """A call that hung is not answered."""


class _Instead(Exception):
    """A call that gets something else than an answer of its service."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


_SERVER_SIDE = {
    "ServerException": 500,
    "InternalFailure": 500,
    "InternalError": 500,
    "InternalServiceError": 500,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "SlowDown": 503,
}
_MESSAGES = {"ThrottlingException": "Rate exceeded", "SlowDown": "Please reduce your request rate."}


def injected(effect: Mapping[str, Any], service_api: str) -> ApiError:
    """The error that a rule asks for, with the status that its code has on AWS."""
    code = str(effect["error"])
    status = 500 if service_api == "ecs" and code in _SERVER_SIDE else _SERVER_SIDE.get(code, 400)
    message = str(effect.get("message") or _MESSAGES.get(code, "fargate_local: a fault was asked for"))
    return ApiError(code, message, int(effect.get("status", status)))


def _error_response(name: CallName, error: ApiError, method: str) -> Response:
    if name.protocol == "json":
        return _json_response(error.body(), error.status)
    text, media_type = name.error_body(error)
    return Response(b"" if method == "HEAD" else text, error.status, media_type=media_type)


def _moto_failure(error: Exception, json_protocol: bool) -> Response:
    """What moto cannot do is answered in the protocol of the call, with a status that SDKs do not retry."""
    missing = isinstance(error, NotImplementedError)
    failed = ApiError("NotImplemented" if missing else "InternalFailure", f"moto: {error}", 501 if missing else 500)
    if json_protocol:
        return _json_response(failed.body(), failed.status)
    return Response(credentials.xml_error("", failed.code, failed.message), failed.status, media_type="application/xml")


def _json_response(answer: Mapping[str, Any], status: int) -> Response:
    headers = {"x-amzn-requestid": str(uuid.uuid4())}
    members = ", ".join(f'"{name}": {_as_json(value)}' for name, value in answer.items())
    return Response(f"{{{members}}}", status, headers, media_type=JSON_TYPE)


def _as_json(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, Shown) for item in value):
        return f"[{', '.join(item.text for item in value)}]"
    return json.dumps(value)
