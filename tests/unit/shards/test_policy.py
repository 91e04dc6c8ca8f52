"""Whose log is followed."""

from __future__ import annotations

import pytest

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.shards.policy import ShardPolicy, is_followed
from ecs_feature.tasks.outcomes import Kind, Outcome


@pytest.mark.parametrize(
    ("live_lines", "asked_for", "try_number", "ended", "followed"),
    [
        ("retries", False, 1, (), False),
        ("retries", False, 1, (Kind.SPOT_INTERRUPTION, Kind.STUCK, Kind.CAPACITY_UNAVAILABLE), False),
        ("retries", False, 1, (Kind.SPOT_INTERRUPTION, Kind.OUT_OF_MEMORY), True),
        ("retries", False, 1, (Kind.APPLICATION_FAILURE,), True),
        ("retries", False, 2, (), True),
        ("never", False, 2, (Kind.OUT_OF_MEMORY,), False),
        ("never", True, 1, (), True),
        ("always", False, 1, (), True),
    ],
)
def test_the_failing_ones_are_followed_and_those_that_are_asked_for(
    live_lines: str, asked_for: bool, try_number: int, ended: tuple[Kind, ...], followed: bool
) -> None:
    outcomes = [Outcome(kind) for kind in ended]
    assert is_followed(live_lines, asked_for=asked_for, try_number=try_number, ended=outcomes) is followed


def test_another_word_is_refused_and_the_default_is_not_stored() -> None:
    with pytest.raises(ConfigurationError, match="live_lines: 'sometimes' is not known; choose one of never, retries"):
        ShardPolicy(live_lines="sometimes")
    assert ShardPolicy(live_lines="retries").to_dict() == {}
    assert ShardPolicy(**ShardPolicy(live_lines="always").to_dict()).live_lines == "always"


def test_a_policy_written_before_the_renames_is_read() -> None:
    old = {"max_parallel": 3, "not_retryable_codes": [2], "skip_codes": [4], "log_lines": 5}
    assert ShardPolicy.from_dict(old) == ShardPolicy(
        parallelism=3, non_retryable_exit_codes=[2], skip_exit_codes=[4], log_lines=5
    )
