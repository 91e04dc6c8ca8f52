"""What a fleet does while AWS cannot be asked: it waits, renews its clients, and says so once a minute. Also what an
answer of DescribeTasks really says: one without sense is no answer."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecs_feature.aws.errors import Reaction, is_transient, reaction_to, translate
from ecs_feature.aws.outages import TELL_SECONDS, Outage, Tell, bug
from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AccessDeniedError, ConfigurationError, EcsFeatureError

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 300.0
"""How long credentials and access are waited for before a task runs; ``[ecs_feature] credentials_timeout_seconds``."""


@dataclass(eq=False)
class PatientCalls:
    """Calls to AWS that are repeated while that may help.

    What passes by itself (throttling, AWS's faults, lost answers) is repeated without end; what may pass (credentials,
    access, TLS, a proxy, errors that nobody knows) for ``patience_seconds``, with renewed clients.

    :param renew: renews the clients.
    :param answer_seconds: the most that any call may take in all; infinity: no bound.
    :ivar trouble: why the last call that failed did, in one sentence.
    :ivar refused: whether AWS has refused a call for good whose caller cannot do without.
    """

    renew: Callable[[], Awaitable[None]]
    patience_seconds: float = PATIENCE_SECONDS
    answer_seconds: float = math.inf
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    refused: bool = False
    trouble: str = ""

    async def call(
        self,
        function: Callable[[], Awaitable[Any]],
        *,
        optional: bool = False,
        patience: Callable[[], float] | None = None,
        tell: Tell = log.warning,
    ) -> Any:
        """Call AWS.

        :param function: one call; it takes its client anew.
        :param optional: the caller can do without: denied access is raised at once.
        :param patience: how long, in seconds, what may pass is waited for; asked after each failure.
        :param tell: told once a minute what is waited for.
        :raises EcsFeatureError: AWS refused it for good, or the time is over.
        """
        outage, failed, started = None, None, self.clock()
        while True:
            try:
                left = self.answer_seconds - (self.clock() - started)
                async with asyncio.timeout(None if math.isinf(left) else max(0.0, left)):
                    return await function()
            except Exception as error:
                now = self.clock()
                no_answer = now - started >= self.answer_seconds and isinstance(error, TimeoutError)
                failed = failed if failed is not None and no_answer else error
            outage = outage or Outage(now)
            told = outage.note(failed, now)
            most = patience() if patience is not None else self.patience_seconds
            time_is_over = now - started >= self.answer_seconds or outage.blocked_seconds(now) >= most
            if time_is_over or self._is_final(failed, optional=optional):
                self.refused |= not optional
                raise translate(failed) from failed
            self.trouble = str(translate(failed))
            if told and bug(failed) is not None:
                log.warning("A call to AWS failed in an unknown way.", exc_info=failed)
            if told and (is_transient(failed) or most >= TELL_SECONDS):  # what is waited for less is raised soon
                bound = "" if is_transient(failed) else f", for at most {most:.0f} s"
                tell(f"{self.trouble} Asking again{bound}.")
            if outage.wants_renewal(failed, now):
                await self.renew()
            await self.sleep(random.uniform(0, outage.longest_pause()))

    def _is_final(self, error: Exception, *, optional: bool) -> bool:
        if optional and isinstance(translate(error), AccessDeniedError):
            return True
        return reaction_to(error) is not Reaction.WAIT


def is_outage(error: EcsFeatureError) -> bool:
    """Whether AWS could not be asked, as opposed to: it does not allow this call, or refuses it."""
    return reaction_to(error) is Reaction.WAIT and not isinstance(error, AccessDeniedError)


def patience_seconds() -> float:
    """``[ecs_feature] credentials_timeout_seconds``.

    :raises ConfigurationError: when it is not a number.
    """
    from airflow.providers.common.compat.sdk import conf

    given = conf.get("ecs_feature", "credentials_timeout_seconds", fallback=str(PATIENCE_SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ConfigurationError(
            f"[ecs_feature] credentials_timeout_seconds: {given!r} is not a number of seconds; give 0 or more."
        )
    return seconds


def described(answer: Mapping[str, Any], arns: Iterable[str]) -> dict[str, EcsTask | None]:
    """What an answer of DescribeTasks says of each task; None: ECS does not show it.

    A task of which the answer says nothing, or nothing with sense, is left out: it is not seen, which is not the same.

    :raises Exception: when the answer has no sense at all.
    """
    found: dict[str, EcsTask] = {}
    for raw in answer["tasks"]:
        try:
            task = EcsTask.from_aws(raw)
        except Exception as error:
            log.warning("DescribeTasks described a task in a way that cannot be read: %r", error)
            continue
        if task.last_status:
            found[task.arn] = task
    # By the last part of the ARN: in failures ECS may leave out the cluster's name.
    missing = {
        str(failure.get("arn")).rpartition("/")[2]
        for failure in answer.get("failures") or ()
        if failure.get("reason") == "MISSING"
    }
    return {arn: found.get(arn) for arn in arns if arn in found or arn.rpartition("/")[2] in missing}
