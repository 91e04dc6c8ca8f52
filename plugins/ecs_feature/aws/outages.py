"""Failures of AWS in a row: when to tell them, when new clients may help, how long to pause."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from ecs_feature.aws.errors import is_throttling, is_transient
from ecs_feature.exceptions import EcsFeatureError

TELL_SECONDS: Final = 60.0
"""How often the user is told that AWS still cannot be asked."""
MAX_PAUSE_SECONDS: Final = 20.0

Tell = Callable[[str], None]


@dataclass(eq=False)
class Outage:
    """Failures in a row, and what they call for. Times are on the caller's clock.

    :param began: when the first call failed.
    :ivar blocked_since: since when it does not pass by itself, e.g. because of credentials; None: it may.
    """

    began: float
    failures: int = 0
    told_at: float | None = None
    blocked_since: float | None = None

    def note(self, error: BaseException, now: float) -> bool:
        """Count a failure; return whether to tell it: at once, but of what passes by itself after a minute, and then
        once a minute."""
        self.failures += 1
        passes = is_transient(error)
        if passes:
            self.blocked_since = None
        elif self.blocked_since is None:
            self.blocked_since = now
        last = self.told_at if self.told_at is not None else self.began if passes else -math.inf
        if now - last < TELL_SECONDS:
            return False
        self.told_at = now
        return True

    def wants_renewal(self, error: BaseException, now: float) -> bool:
        """Whether new clients may help: not against throttling, nor against what passes within a minute."""
        return not is_throttling(error) and (not is_transient(error) or now - self.began >= TELL_SECONDS)

    def blocked_seconds(self, now: float) -> float:
        """How long it has not been passing by itself; negative while it may."""
        return -1.0 if self.blocked_since is None else now - self.blocked_since

    def longest_pause(self, most: float = MAX_PAUSE_SECONDS) -> float:
        """Before the next call: 0.5, 1, 2 ... seconds."""
        return min(most, 0.5 * 2.0 ** min(self.failures - 1, 10))


def bug(error: BaseException) -> BaseException | None:
    """The error, for a traceback in the log, when it is neither AWS's nor the network's."""
    known = (BotoCoreError, ClientError, EcsFeatureError, OSError)
    return None if isinstance(error, known) else error
