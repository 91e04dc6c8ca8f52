"""A pace finds the account's rate, alone and with others that do not know of it."""

from __future__ import annotations

import asyncio
import random

import pytest

from ecs_feature.aws.pacing import TRIAL_AFTER_SECONDS, TRIAL_BARRED_SECONDS, Bucket, Limiter, Pace
from fargate_local.quotas import TokenBucket


@pytest.mark.parametrize(
    ("burst", "rate", "seconds", "allowed"),
    [(100, 20, 0, 100), (100, 20, 10, 300), (10, 20, 1, 30), (1, 0.5, 10, 6)],
    ids=["the burst at once", "burst and refill", "half a second's burst", "slow"],
)
def test_a_bucket_allows_its_burst_and_its_refill(burst: float, rate: float, seconds: float, allowed: int) -> None:
    bucket, now, taken = Bucket(burst, rate), 0.0, 0
    while (now := now + bucket.wait(now)) <= seconds + 1e-6:
        bucket.take(now)
        taken += 1
    assert taken == allowed


def test_a_clock_that_goes_back_adds_nothing() -> None:
    bucket = Bucket(1, 1, now=100.0)
    bucket.take(100.0)
    assert bucket.wait(50.0) == pytest.approx(1.0)
    assert bucket.wait(100.5) == pytest.approx(0.5)


async def test_callers_of_a_limiter_pass_in_the_order_they_came_and_a_cancelled_one_takes_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take, taken = Bucket.take, []
    monkeypatch.setattr(Bucket, "take", lambda self, now: (taken.append(now), take(self, now)))
    clock = asyncio.get_running_loop().time
    limiter, began = Limiter(2, 20), clock()
    passed: list[int] = []
    calls = []

    async def call(number: int) -> None:
        await limiter.acquire()
        passed.append(number)

    for number in range(9):
        calls.append(asyncio.create_task(call(number)))
    await asyncio.sleep(0)
    assert passed == [0, 1]
    for cancelled in (2, 4):  # the first that waits, and one behind it
        calls[cancelled].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert passed == [0, 1, 3, 5, 6, 7, 8]
    assert len(taken) == 7
    assert clock() - began >= 5 / 20 - 0.001


def run(paces: list[Pace], allowed: float, seconds: float, burst: float = 0) -> tuple[list[int], int]:
    """Let the paces call an account that allows so many calls a second; (calls that went through, of each; refused)."""
    clock = [0.0]
    account = TokenBucket(burst or allowed, allowed, lambda: clock[0])
    went, refused = [0] * len(paces), 0
    while clock[0] < seconds:
        number = min(range(len(paces)), key=lambda which: paces[which].wait(clock[0]))
        clock[0] += paces[number].wait(clock[0])
        paces[number].take(clock[0])
        if account.take():
            went[number] += 1
            paces[number].succeeded(clock[0])
        else:
            refused += 1
            paces[number].throttled(clock[0])
    return went, refused


def test_at_the_published_rate_nothing_is_refused() -> None:
    went, refused = run([Pace(20, 10)], allowed=20, seconds=50)
    assert refused == 0
    assert went[0] == pytest.approx(50 * 20 + 10, abs=1)


@pytest.mark.parametrize("allowed", [1, 5, 12])
def test_a_lower_quota_is_found_and_used(allowed: float) -> None:
    went, refused = run([Pace(20, 10)], allowed=allowed, seconds=300)
    assert went[0] >= 0.78 * 300 * allowed
    assert refused <= 1.05 * 300 + 10  # about one a second, however low the quota


def test_two_that_do_not_know_of_each_other_share_the_quota() -> None:
    went, refused = run([Pace(20, 10), Pace(20, 10)], allowed=20, seconds=200)
    assert sum(went) >= 0.9 * 200 * 20
    assert max(went) / min(went) < 1.25
    assert refused < 0.2 * sum(went)


def test_a_higher_quota_is_found_after_a_quiet_minute() -> None:
    pace = Pace(20, 10, may_exceed=True)
    run([pace], allowed=20, seconds=TRIAL_AFTER_SECONDS - 1, burst=1000)
    assert pace.rate == 20
    run([rich := Pace(20, 10, may_exceed=True)], allowed=60, seconds=TRIAL_AFTER_SECONDS + 60)
    assert 45 < rich.rate < 60


def test_a_trial_that_fails_falls_back_to_the_published_rate_for_ten_minutes() -> None:
    pace = Pace(20, 10, may_exceed=True)
    pace.succeeded(TRIAL_AFTER_SECONDS + 1)
    assert pace.rate > 20
    pace.throttled(TRIAL_AFTER_SECONDS + 2)
    assert pace.rate == 20
    for second in range(int(TRIAL_BARRED_SECONDS)):
        pace.succeeded(TRIAL_AFTER_SECONDS + 2 + second)
    assert pace.rate == 20
    pace.succeeded(TRIAL_AFTER_SECONDS + TRIAL_BARRED_SECONDS + 3)
    assert pace.rate > 20


def test_refusals_of_one_second_count_once() -> None:
    pace = Pace(20)
    for moment in (10.0, 10.1, 10.5, 10.9):
        pace.throttled(moment)
    assert pace.rate == pytest.approx(16)
    pace.throttled(11.0)
    assert pace.rate == pytest.approx(12.8)


def test_it_never_stops_altogether_and_comes_back() -> None:
    pace, chance = Pace(20), random.Random(7)
    now = 0.0
    for _ in range(200):
        now += 1 + chance.random()
        pace.throttled(now)
    assert pace.rate == pytest.approx(0.2)
    for _ in range(60):
        now += 1
        pace.succeeded(now)
    assert pace.rate == 20
