"""Whose files are current."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ecs_feature.results.cells import Cells, Launched
from ecs_feature.results.versions import Move
from ecs_feature.ui.pipelines import Lane
from ecs_feature.ui.published import Publication, _overlay, in_force, owners, publication

LANE = Lane("control", publish="control.publish")
PREFIX = "s3://b/o/ds=2013-02-08"
START = datetime(2013, 2, 8, tzinfo=UTC)


def published(version: int, run_id: str, *shards: str) -> Publication:
    return Publication(version, run_id, shards, PREFIX)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_last_version_that_has_a_shard_owns_it() -> None:
    chain = in_force([published(2, "b", "x"), published(1, "a", "x", "y"), Publication(0, "c", ["y"])], [], LANE, {})
    assert owners(chain) == {"x": "b", "y": "a"}


def test_after_a_way_back_the_versions_after_it_do_not_count() -> None:
    every = [published(1, "a", "x", "y"), published(2, "b", "x"), published(3, "c", "y")]
    written = {(name, "control.publish"): at(number) for number, name in enumerate("abc")}
    back = Move(PREFIX, 1, at(10))
    assert owners(in_force(every, [back], LANE, written)) == {"x": "a", "y": "a"}
    assert owners(in_force(every, [Move("s3://b/other", 1, at(10))], LANE, written)) == {"x": "b", "y": "c"}


def test_after_a_way_back_and_forth_all_versions_count_again() -> None:
    every = [published(1, "a", "x"), published(2, "b", "x", "y"), published(3, "c", "y")]
    written = {(each.run_id, LANE.publish): at(number) for number, each in enumerate(every)}
    forth = [Move(PREFIX, 1, at(10)), Move(PREFIX, 3, at(20))]
    assert owners(in_force(every, forth, LANE, written)) == {"x": "b", "y": "c"}


def test_a_publish_after_a_way_back_builds_on_what_is_current_then() -> None:
    every = [published(1, "a", "x", "y"), published(2, "b", "x"), published(3, "c", "y")]
    written = {("a", "control.publish"): at(0), ("b", "control.publish"): at(1), ("c", "control.publish"): at(20)}
    assert owners(in_force(every, [Move(PREFIX, 1, at(10))], LANE, written)) == {"x": "a", "y": "c"}


def test_a_pointer_that_was_moved_outside_airflow_is_known_from_the_publish_after_it() -> None:
    """``airflow ecs-feature manifest rollback`` to version 1 between 2 and 3: version 2 is not part of 3."""
    every = [
        Publication(1, "a", ["x", "y"], PREFIX, 0),
        Publication(2, "b", ["x"], PREFIX, 1),
        Publication(3, "c", ["y"], PREFIX, 1),
    ]
    assert owners(in_force(every, [], LANE, {})) == {"x": "a", "y": "c"}
    assert owners(in_force(every[1:], [], LANE, {})) == {"y": "c"}  # the first run is not in Airflow any more
    written = {(each.run_id, LANE.publish): at(number) for number, each in enumerate(every)}
    assert owners(in_force(every, [Move(PREFIX, 2, at(10))], LANE, written)) == {"x": "b", "y": "a"}


def test_cells_are_stale_when_another_run_owns_them_and_only_ran_when_nobody_does() -> None:
    cells = Cells()
    for name, code in (("mine", "P"), ("theirs", "P"), ("nobody's", "P"), ("missing", "M"), ("failed", "F")):
        cells.add(name, code, Launched(), changed=None, tries=1, index=-1)
    _overlay(cells, {"mine": "a", "theirs": "b", "missing": "b", "failed": "b"}, "a")
    assert "".join(cells.codes) == "PSRSF"


def test_a_publish_is_read_from_its_xcom() -> None:
    value = {"version": 2, "shards": ["x"], "manifest_uri": f"{PREFIX}/manifest/v=0002.json"}
    assert publication("a", value) == Publication(2, "a", ["x"], PREFIX)
    assert publication("a", {**value, "previous": 1}).previous == 1
    assert publication("a", {**value, "previous": None}).previous == 0
    assert publication("a", {}) == Publication(0, "a", [], "", None)
