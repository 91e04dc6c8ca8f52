"""ECS's request and launch quotas, as token buckets."""

from __future__ import annotations

from collections.abc import Callable

from fargate_local import limits
from fargate_local.errors import ApiError


class TokenBucket:
    """A bucket that holds `burst` tokens and refills at `refill_per_second`, on a clock given from outside."""

    def __init__(self, burst: float, refill_per_second: float, clock: Callable[[], float]) -> None:
        self._burst = float(burst)
        self._refill_per_second = refill_per_second
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def take(self, tokens: int = 1) -> bool:
        """Take that many tokens; False, and nothing taken, when there are too few."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._refill_per_second)
        self._filled_at = now
        # A hair's breadth for floating point: 0.1 s at 20/s is two tokens.
        if self._tokens + 1e-9 < tokens:
            return False
        self._tokens -= tokens
        return True


class Quotas:
    """The quotas of one account in one region: request rates by operation, and Fargate launches."""

    def __init__(self, clock: Callable[[], float], *, enabled: bool = True, vcpus: float = 4000.0) -> None:
        self._enabled = enabled
        self._by_operation: dict[str, TokenBucket] = {}
        for burst, refill, operations in limits.API_BUCKETS.values():
            bucket = TokenBucket(burst, refill, clock)
            self._by_operation.update(dict.fromkeys(operations, bucket))
        rate = limits.RUN_TASK_CALLS_PER_SECOND
        self._run_task_on_fargate = TokenBucket(rate, rate, clock)
        self._launches = {
            capacity: TokenBucket(limits.LAUNCH_BURST, limits.LAUNCH_REFILL_PER_SECOND, clock)
            for capacity in ("FARGATE", "FARGATE_SPOT")
        }
        self.vcpus = vcpus
        self._vcpus_left = dict.fromkeys(("FARGATE", "FARGATE_SPOT"), vcpus)
        self._vcpus_of: dict[str, tuple[str, float]] = {}

    def take_call(self, operation: str) -> None:
        """Count one call of an operation.

        :raises ApiError: ThrottlingException, as the operation's bucket is empty.
        """
        bucket = self._by_operation.get(operation)
        if self._enabled and bucket is not None and not bucket.take():
            raise throttled()

    def take_run_task(self, capacity: str, count: int) -> None:
        """Count one RunTask call on Fargate and the tasks that it launches.

        :param capacity: FARGATE or FARGATE_SPOT; any other capacity has no launch quota.
        :raises ApiError: ThrottlingException, as the call rate or the launch bucket is used up.
        """
        launches = self._launches.get(capacity)
        if not self._enabled or launches is None:
            return
        if not self._run_task_on_fargate.take() or not launches.take(count):
            raise throttled()

    def take_service_launch(self, capacity: str) -> bool:
        """Count one launch by a service; False when it has to wait (services are not throttled, they are slower)."""
        launches = self._launches.get(capacity)
        return not self._enabled or launches is None or launches.take()

    def take_vcpus(self, capacity: str, task_id: str, vcpus: float) -> bool:
        """Count a task's vCPUs until `give_back`; False, and nothing counted, when they are above the quota."""
        if not self._enabled or capacity not in self._vcpus_left:
            return True
        if self._vcpus_left[capacity] + 1e-9 < vcpus:
            return False
        self._vcpus_left[capacity] -= vcpus
        self._vcpus_of[task_id] = (capacity, vcpus)
        return True

    def give_back(self, task_id: str) -> None:
        """The task has stopped: its vCPUs are free."""
        capacity, vcpus = self._vcpus_of.pop(task_id, ("", 0.0))
        if capacity:
            self._vcpus_left[capacity] += vcpus


def throttled() -> ApiError:
    """The answer to a call above its quota."""
    return ApiError("ThrottlingException", "Rate exceeded")
