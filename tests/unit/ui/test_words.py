"""What became of a shard, in words."""

from __future__ import annotations

import pytest

from ecs_feature.tasks.outcomes import Kind
from ecs_feature.ui.words import failure_words, outcome_words


@pytest.mark.parametrize("kind", list(Kind))
def test_every_outcome_has_words_without_the_shard_s_name(kind: Kind) -> None:
    words = outcome_words({"outcome": str(kind), "exit_code": 3, "container": "features"}, "failed")
    assert words
    assert "{" not in words


def test_failures_of_one_kind_have_the_same_words() -> None:
    def failed(reason: str) -> str:
        record = {"outcome": "application_failure", "exit_code": 1, "launches": [{"reason": reason}]}
        return failure_words(record, "failed")

    one = failed("CannotPullContainerError: task 0123456789abcdef0123456789abcdef at 10.0.0.7")
    two = failed("CannotPullContainerError: task fedcba9876543210fedcba9876543210 at 10.0.3.9")
    assert one == two == "a container exited with code 1: CannotPullContainerError: task … at …"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("upstream_failed", "not started: a task before it failed"),
        ("failed", "failed without a record; its log says why"),
        ("success", "marked as success without a result"),
        ("running", ""),
        (None, ""),
    ],
)
def test_without_a_record_airflow_s_state_says_it(state: str | None, said: str) -> None:
    assert outcome_words(None, state) == said
    assert outcome_words({"outcome": "of_a_later_version"}, state) == "of a later version"
