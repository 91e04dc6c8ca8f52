"""moto's backends without HTTP and boto3: what the engine does thousands of times. Blocks: for worker threads."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from fargate_local.errors import ApiError
from fargate_local.shapes import JsonObject

log = logging.getLogger("fargate_local")


class MotoDirect:
    """S3 objects, log streams and EventBridge rules of one account in moto.

    The account is the one that moto takes every caller for.

    :param s3_lock: held while an object is written, as the writes over HTTP do.
    :param logs_lock: held while a log stream is made or written, as the calls over HTTP do.
    """

    def __init__(self, s3_lock: threading.Lock, logs_lock: threading.Lock) -> None:
        self._s3_lock = s3_lock
        self._logs_lock = logs_lock

    def put_objects(self, objects: Iterable[tuple[str, bytes]]) -> dict[str, str]:
        """Write objects, given as URI and content, in this order; by URI what is wrong with those not written."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.core.exceptions import ServiceException
        from moto.s3.models import s3_backends

        backend, wrong = s3_backends[DEFAULT_ACCOUNT_ID]["aws"], {}
        for uri, content in objects:
            scheme, _, rest = uri.partition("://")
            bucket, _, key = rest.partition("/")
            if scheme != "s3" or not bucket or not key:
                wrong[uri] = f"{uri} is not like s3://bucket/key"
                continue
            try:
                with self._s3_lock:
                    backend.put_object(bucket, key, content)
            except ServiceException as error:
                wrong[uri] = f"PutObject {uri}: {error.message}"
        return wrong

    def create_log_stream(self, region: str, group: str, stream: str, *, create_group: bool) -> None:
        """Make a log stream, and its group if that is asked for; nothing happens to those that exist.

        :raises ApiError: ResourceNotFoundException, there is no such group.
        """
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.core.exceptions import JsonRESTError
        from moto.logs.models import logs_backends

        backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
        with self._logs_lock:
            try:
                if create_group and group not in backend.groups:
                    backend.create_log_group(group, {})
                backend.ensure_log_stream(group, stream)
            except JsonRESTError as error:
                raise ApiError(error.error_type, error.message) from None

    def put_log_events(self, region: str, group: str, stream: str, events: list[JsonObject]) -> None:
        """Write a batch of log events.

        :raises ApiError: ResourceNotFoundException, the group or the stream is gone.
        """
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.core.exceptions import JsonRESTError
        from moto.logs.models import logs_backends

        with self._logs_lock:
            try:
                logs_backends[DEFAULT_ACCOUNT_ID][region].put_log_events(group, stream, events)
            except JsonRESTError as error:
                raise ApiError(error.error_type, error.message) from None

    def event_rules(self, region: str) -> list[Any]:
        """The enabled rules with targets on the default event bus. Does not block."""
        models = sys.modules.get("moto.events.models")
        if models is None:
            return []
        from moto.core import DEFAULT_ACCOUNT_ID

        bus = models.events_backends[DEFAULT_ACCOUNT_ID][region].event_buses.get("default")
        return [rule for rule in list(bus.rules.values()) if rule.state == "ENABLED" and rule.targets] if bus else []

    def send_event(self, region: str, rules: Iterable[Any], event: Mapping[str, Any]) -> None:
        """Give an event to the SQS targets of the rules whose pattern it matches; queues that are gone are skipped."""
        from moto.core.exceptions import ServiceException
        from moto.sqs.models import sqs_backends

        body: str | None = None
        for rule in rules:
            if rule.event_pattern.get_pattern() and not rule.event_pattern.matches_event(event):
                continue
            for target in rule.targets:
                _, _, service, queue_region, account, name = target["Arn"].split(":", 5)
                if service != "sqs":
                    continue
                body = body or json.dumps(event)
                group_id = target.get("SqsParameters", {}).get("MessageGroupId")
                try:
                    sqs_backends[account][queue_region or region].send_message(name, body, group_id=group_id)
                except ServiceException as error:
                    log.info("event for %s: %s", target["Arn"], error)
