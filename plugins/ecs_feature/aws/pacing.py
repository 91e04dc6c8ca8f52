"""How fast AWS may be called: a token bucket, and a pace that learns the real rate. Pure; the clock is the caller's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

# Additive increase, multiplicative decrease: two that share one quota end up with equal shares of it.
DECREASE: Final = 0.8
DECREASE_EVERY_SECONDS: Final = 1.0
INCREASE_PER_SECOND: Final = 0.5
"""Calls per second, gained in each second in which calls succeed."""
SLOWEST_PER_SECOND: Final = 0.2
# Above the published rate: an account may have been given more, which nobody but a trial can tell.
TRIAL_AFTER_SECONDS: Final = 60.0
"""So long no call was refused, from the first, before a rate above the published one is tried."""
TRIAL_BARRED_SECONDS: Final = 600.0
"""So long after a refusal no higher rate than the published one is tried again."""
TRIAL_FACTOR: Final = 5.0

# A hair's breadth for floating point: 0.1 s at 20/s is two tokens.
EPSILON: Final = 1e-9


@dataclass
class Bucket:
    """A token bucket: holds ``burst`` tokens and is refilled with ``rate`` a second. Full at first."""

    burst: float
    rate: float
    now: float = 0.0
    tokens: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.tokens):
            self.tokens = self.burst

    def fill(self, now: float) -> None:
        """Let time pass until ``now``; a clock that goes backwards adds nothing."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.now) * self.rate)
        self.now = max(now, self.now)

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self.fill(now)
        return 0.0 if self.tokens >= 1 - EPSILON else (1 - self.tokens) / self.rate

    def take(self, now: float) -> None:
        self.fill(now)
        self.tokens -= 1


@dataclass
class Pace:
    """A rate of calls that sinks when AWS refuses calls as too many and rises while they succeed.

    :param published: AWS's published rate in calls per second, where the pace starts.
    :param burst: how many calls a late caller may make up for at once.
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
        """Calls per second, now."""
        return self.bucket.rate

    def wait(self, now: float) -> float:
        """Seconds until the next call may start."""
        return self.bucket.wait(now)

    def take(self, now: float) -> None:
        """Count a call that starts."""
        self.bucket.take(now)

    def succeeded(self, now: float) -> None:
        """A call went through: climb, however many did within the same second."""
        gained = min(1.0, max(0.0, now - self._raised_at)) * INCREASE_PER_SECOND
        self._raised_at = max(now, self._raised_at)
        maximum = self.published * (TRIAL_FACTOR if now >= self._trial_at else 1.0)
        self._set(now, min(maximum, self.rate + gained))

    def throttled(self, now: float) -> None:
        """A call was refused as one too many. Refusals within a second are one: they are of the same crowd."""
        self._raised_at = now
        self._trial_at = max(self._trial_at, now + TRIAL_BARRED_SECONDS)
        if now - self._decreased_at < DECREASE_EVERY_SECONDS:
            return
        self._decreased_at = now
        lower = self.published if self.rate > self.published else self.rate * DECREASE
        self._set(now, max(min(SLOWEST_PER_SECOND, self.published), lower))
        # What was saved up is not there on AWS's side either.
        self.bucket.tokens = min(self.bucket.tokens, 0.0)

    def _set(self, now: float, rate: float) -> None:
        self.bucket.fill(now)
        self.bucket.rate = rate
