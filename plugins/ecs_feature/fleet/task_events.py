"""Learns from ECS that a task stopped: EventBridge's "ECS Task State Change" events, through an SQS queue.

Polling continues as the safety net, only slower. Events may come twice, out of order, before RunTask's answer, or not
at all; only STOPPED is used, because it is final. Two triggerers may read one queue: each returns the other's messages.
An EventBridge rule for ``lastStatus`` STOPPED alone saves five of six messages.
AmazonECS/latest/developerguide/ecs_task_events.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ecs_feature.aws import limits
from ecs_feature.aws.resources import EcsTask
from ecs_feature.detached import spawn_detached

log = logging.getLogger(__name__)

STARTED_BY_PREFIX: Final = "ecs-feature/"
"""The prefix that :func:`ecs_feature.tasks.launch.started_by` writes; events of other tasks are deleted."""
REMEMBER_SECONDS: Final = 300.0
"""How long a stopped task is remembered, and its message kept for another triggerer."""
REMEMBERED: Final = 10_000
QUICK_RECEIPTS: Final = 6
MAX_HIDDEN_SECONDS: Final = 32
YIELD_SECONDS: Final = (1.0, 2.5)
FAILED_SECONDS: Final = 5.0
NOTICE_EVERY_SECONDS: Final = 60.0
TRUSTED_SECONDS: Final = 60.0
"""How long after the queue's last answer events count as working; a long poll takes 20 s."""
_TIMES: Final = ("createdAt", "pullStartedAt", "startedAt", "stoppedAt")


def stopped_task(body: str) -> tuple[EcsTask | None, str]:
    """The stopped task in a message, and its startedBy; None for any other message."""
    try:
        event = json.loads(body)
        detail = event["detail"]
        if event["detail-type"] != "ECS Task State Change" or detail["lastStatus"] != "STOPPED":
            return None, ""
        times = {key: _moment(detail[key]) for key in _TIMES if detail.get(key)}
        return EcsTask.from_aws({**detail, **times}), detail.get("startedBy", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, ""


@dataclass(eq=False)
class TaskEvents:
    """Reads the queue and reports stopped tasks.

    :param client: returns the ``sqs`` client.
    :param on_stopped: called with a stopped task; returns whether this triggerer waits for it.
    """

    queue_url: str
    client: Callable[[], Awaitable[Any]]
    on_stopped: Callable[[EcsTask], bool]
    clock: Callable[[], float] = time.monotonic
    _recent: dict[str, tuple[float, EcsTask]] = field(default_factory=dict)
    _ours: dict[str, float] = field(default_factory=dict)
    _receiver: asyncio.Task[None] | None = None
    _answered_at: float = float("-inf")
    _noticed_at: float = float("-inf")

    def open(self) -> None:
        self._receiver = spawn_detached(self._receive_for_ever())

    async def close(self) -> None:
        if self._receiver is not None:
            self._receiver.cancel()
            await asyncio.gather(self._receiver, return_exceptions=True)

    @property
    def working(self) -> bool:
        """Whether the queue has answered recently."""
        return self.clock() - self._answered_at < TRUSTED_SECONDS

    def stopped(self, arn: str) -> EcsTask | None:
        """The task, if its event came before the wait for it began."""
        heard = self._recent.pop(arn, None)
        if heard is None:
            return None
        self._ours[arn] = self.clock()
        return heard[1]

    async def _receive_for_ever(self) -> None:
        while True:
            try:
                await self._receive()
                self._answered_at = self.clock()
            except Exception as error:  # whatever it is, polling goes on
                self._answered_at = float("-inf")
                if self.clock() - self._noticed_at >= NOTICE_EVERY_SECONDS:
                    self._noticed_at = self.clock()
                    log.warning("Task events cannot be read from %s, so tasks are polled: %s", self.queue_url, error)
                await asyncio.sleep(FAILED_SECONDS)

    async def _receive(self) -> None:
        sqs = await self.client()
        answer = await sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=limits.SQS_MESSAGES,
            WaitTimeSeconds=limits.SQS_WAIT_SECONDS,
            AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        done, kept = [], []
        for number, message in enumerate(answer.get("Messages", ())):
            entry = {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            hidden = self.take(message)
            if hidden is None:
                done.append(entry)
            else:
                kept.append({**entry, "VisibilityTimeout": hidden})
        if done:
            await sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=done)
        if kept:
            await sqs.change_message_visibility_batch(QueueUrl=self.queue_url, Entries=kept)
        if kept and not done:
            # Let the other triggerer receive them first; the pause is random so that the two do not stay in step.
            await asyncio.sleep(random.uniform(*YIELD_SECONDS))

    def take(self, message: dict[str, Any]) -> int | None:
        """Handle an SQS message; None: delete it, else the seconds to hide it for."""
        task, started_by = stopped_task(message.get("Body", ""))
        if task is None or not started_by.startswith(STARTED_BY_PREFIX):
            return None
        if self.on_stopped(task) or task.arn in self._ours:
            self._forget()
            self._ours[task.arn] = self.clock()
            return None
        self._forget()
        self._recent.setdefault(task.arn, (self.clock(), task))
        attributes = message.get("Attributes", {})
        sent = int(attributes.get("SentTimestamp", 0)) / 1000
        if time.time() - sent > REMEMBER_SECONDS:
            return None
        # Short at first, because another triggerer may wait for it; then doubling: a task that nobody waits for costs
        # about fifteen receipts, not three hundred.
        doublings = max(0, int(attributes.get("ApproximateReceiveCount", 1)) - QUICK_RECEIPTS)
        return int(min(MAX_HIDDEN_SECONDS, 2**doublings))

    def _forget(self) -> None:
        """Drop old entries; both dicts are in order of time."""
        before = self.clock() - REMEMBER_SECONDS
        while self._recent and (len(self._recent) > REMEMBERED or next(iter(self._recent.values()))[0] < before):
            del self._recent[next(iter(self._recent))]
        while self._ours and (len(self._ours) > REMEMBERED or next(iter(self._ours.values())) < before):
            del self._ours[next(iter(self._ours))]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
