"""Which version is current, by what publishes and ways back have left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.exceptions import PublishError
from ecs_feature.results.versions import Move, check_within, current, published, rolled_back

NOW = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
ONE, TWO = "s3://b/features/ds=2013-02-08", "s3://b/features/ds=2013-02-09"


def uri(number: int, prefix: str = ONE) -> str:
    return f"{prefix}/manifest/v={number:04d}.json"


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_the_last_move_of_a_pointer_says_which_version_is_current() -> None:
    publishes = [published(uri(number), at(number)) for number in (1, 2, 3)]
    back = rolled_back({"manifest_uri": uri(1), "version": 1, "at": at(9).isoformat(), "before": 3})
    assert current(publishes) == {ONE: 3}
    assert current([back, *publishes]) == current([*publishes, back]) == {ONE: 1}
    assert current([*publishes, back, published(uri(4), at(10))]) == {ONE: 4}
    assert current([published(uri(7, TWO), at(0)), *publishes]) == {TWO: 7, ONE: 3}
    assert current([]) == current([None]) == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        3,
        [],
        {},
        {"manifest_uri": uri(1)},
        {"manifest_uri": uri(1), "at": "soon"},
        {"manifest_uri": "s3://b", "at": NOW.isoformat()},
        {"manifest_uri": None, "at": NOW.isoformat()},
    ],
    ids=str,
)
def test_what_is_no_way_back_moves_nothing(value: Any) -> None:
    assert rolled_back(value) is None


def test_a_publish_of_nothing_moves_nothing() -> None:
    assert published(None, NOW) is None
    assert published(uri(3), NOW) == Move(ONE, 3, NOW)


OUTPUT = "s3://b/{{ var.value.team }}/variant=control/ds={{ ds }}"


@pytest.mark.parametrize(
    ("manifest_uri", "output"),
    [
        (uri(1), "s3://b/features/ds={{ ds }}"),
        (uri(12, "s3://b/x.y/variant=control/ds=2013-02-08"), OUTPUT),
        (uri(1, "s3://b/out/2013"), "s3://b/{% if x %}out{% endif %}/{{ ds[:4] }}"),
        (uri(1, "s3://b/a+(b)"), "s3://b/a+(b)"),
    ],
)
def test_a_version_of_the_output(manifest_uri: str, output: str) -> None:
    check_within(manifest_uri, output)


@pytest.mark.parametrize(
    ("manifest_uri", "output"),
    [
        (uri(1), "s3://b/features/variant=control/ds={{ ds }}"),
        (uri(1, "s3://other/features/ds=2013-02-08"), "s3://b/features/ds={{ ds }}"),
        (uri(1, "s3://b/featuresXds=2013-02-08"), "s3://b/features.ds={{ ds }}"),
        (uri(1, "s3://b/team/variant=treatment/ds=2013-02-08"), OUTPUT),
        (uri(1, "s3://b/features/ds=2013-02-08/x"), "s3://b/features/ds=2013-02-08"),
        (uri(1), ""),
        ("s3://b/features/ds=2013-02-08", "s3://b/features/ds={{ ds }}"),
        ("", OUTPUT),
    ],
)
def test_a_version_of_something_else_is_refused_in_one_sentence(manifest_uri: str, output: str) -> None:
    with pytest.raises(PublishError, match=r"^manifest_uri: .*(is not below|is no version)"):
        check_within(manifest_uri, output)
