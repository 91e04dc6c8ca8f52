"""What a task on a worker does while AWS cannot be asked: it asks again, instead of using up a try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from airflow.sdk.exceptions import AirflowException

from ecs_feature.aws.errors import may_pass, translate
from ecs_feature.aws.outages import Outage, bug
from ecs_feature.fleet.sight import patience_seconds

T = TypeVar("T")


def patiently(
    act: Callable[[], T],
    log: Any,
    *,
    renew: Callable[[], None] = lambda: None,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The result of ``act``, which is repeated while it fails for a reason that may pass.

    Throttling, AWS's faults, lost connections, TLS, proxies, credentials, access, answers without sense: all of them
    passed within minutes for those who reported them, and a retry of the task costs a worker's start each.

    :param act: may be repeated.
    :param renew: called after each failure: forgets clients, whose credentials may have expired.
    :param seconds: how long it is repeated; default: ``[ecs_feature] credentials_timeout_seconds``.
    :raises EcsFeatureError: AWS refused it for good, or the time is over.
    """
    outage, most = None, patience_seconds() if seconds is None else seconds
    while True:
        try:
            return act()
        except AirflowException:
            raise
        except Exception as error:
            if not may_pass(error):
                raise
            failed = error
        now = clock()
        outage = outage or Outage(now)
        told = outage.note(failed.__cause__ or failed, now)
        said = translate(failed)
        if now - outage.began >= most:
            raise said from (failed.__cause__ if said is failed else failed)
        if told or outage.failures == 1:
            log.warning("%s Asking again, for at most %.0f s.", said, most, exc_info=bug(failed))
        renew()
        sleep(random.uniform(0.0, outage.longest_pause()))
