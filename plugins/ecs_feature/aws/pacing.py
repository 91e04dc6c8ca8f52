"""Call rates for AWS: a token bucket, a limiter that callers wait for, and a pace that learns the real limit.

Bucket and pace are pure: the caller passes the time (docs/decisions/0021-one-rate-limiter.md).
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Final

# Additive increase, multiplicative decrease: callers that share a quota converge to equal shares.
DECREASE: Final = 0.8
DECREASE_EVERY_SECONDS: Final = 1.0
INCREASE_PER_SECOND: Final = 0.5
"""By how much the rate (calls per second) grows in each second with successful calls."""
SLOWEST_PER_SECOND: Final = 0.2
# An account may have a higher rate than the published one; only trying shows it.
TRIAL_AFTER_SECONDS: Final = 60.0
"""How long after the start a rate above the published one is tried, if no call was refused."""
TRIAL_BARRED_SECONDS: Final = 600.0
"""After a refusal, how long no rate above the published one is tried."""
TRIAL_FACTOR: Final = 5.0

EPSILON: Final = 1e-9
"""Tolerance for sums of floats: 0.1 s at 20/s is two tokens; so with vCPUs and seconds."""


@dataclass
class Bucket:
    """A token bucket: holds at most ``burst`` tokens, gains ``rate`` per second, starts full."""

    burst: float
    rate: float
    now: float = 0.0
    tokens: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.tokens):
            self.tokens = self.burst

    def fill(self, now: float) -> None:
        """Add the tokens gained until ``now``; a clock that goes backwards adds none."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.now) * self.rate)
        self.now = max(now, self.now)

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self.fill(now)
        return 0.0 if self.tokens >= 1 - EPSILON else (1 - self.tokens) / self.rate

    def take(self, now: float) -> None:
        self.fill(now)
        self.tokens -= 1


@dataclass(eq=False)
class Limiter(Bucket):
    """A bucket on the event loop's clock; callers wait for a token, first come, first served."""

    _head: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def acquire(self) -> None:
        """Wait for a token and take it; a caller cancelled meanwhile takes none."""
        clock = asyncio.get_running_loop().time
        async with self._head:
            if wait := self.wait(clock()):
                await asyncio.sleep(wait)
            self.take(clock())


@dataclass
class Pace:
    """A call rate that falls when AWS throttles and rises while calls succeed.

    :param published: AWS's published rate in calls per second; the pace starts there.
    :param burst: how many calls a late caller may make at once.
    :param may_exceed: whether rates above ``published`` are tried, see :data:`TRIAL_AFTER_SECONDS`.
    """

    published: float
    burst: float = 1.0
    may_exceed: bool = False
    now: float = 0.0

    def __post_init__(self) -> None:
        self.bucket = Bucket(max(1.0, self.burst), self.published, self.now)
        self._decreased_at = -math.inf
        self._raised_at = self.now
        self._trial_at = self.now + TRIAL_AFTER_SECONDS if self.may_exceed else math.inf

    @property
    def rate(self) -> float:
        """The current rate in calls per second."""
        return self.bucket.rate

    def wait(self, now: float) -> float:
        """Seconds until the next call may start."""
        return self.bucket.wait(now)

    def take(self, now: float) -> None:
        """Count a call that starts."""
        self.bucket.take(now)

    def succeeded(self, now: float) -> None:
        """A call succeeded: raise the rate, by time and not by the number of calls."""
        gained = min(1.0, max(0.0, now - self._raised_at)) * INCREASE_PER_SECOND
        self._raised_at = max(now, self._raised_at)
        maximum = self.published * (TRIAL_FACTOR if now >= self._trial_at else 1.0)
        self._set(now, min(maximum, self.rate + gained))

    def throttled(self, now: float) -> None:
        """A call was throttled. Refusals within a second count once: they were sent at the same rate."""
        self._raised_at = now
        self._trial_at = max(self._trial_at, now + TRIAL_BARRED_SECONDS)
        if now - self._decreased_at < DECREASE_EVERY_SECONDS:
            return
        self._decreased_at = now
        lower = self.published if self.rate > self.published else self.rate * DECREASE
        self._set(now, max(min(SLOWEST_PER_SECOND, self.published), lower))
        # AWS has no tokens left, so neither does our bucket.
        self.bucket.tokens = min(self.bucket.tokens, 0.0)

    def _set(self, now: float, rate: float) -> None:
        self.bucket.fill(now)
        self.bucket.rate = rate
