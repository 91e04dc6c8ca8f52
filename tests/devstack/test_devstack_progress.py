from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from devstack.api import log_lines
from devstack.follow import RunView, Service, Shards, changes, count_shards, look
from devstack.progress import Progress, plain, run_table
from devstack.receipt import problems


def instance(task_id: str, state: str | None) -> dict[str, Any]:
    return {"task_id": task_id, "state": state}


def test_named_and_mapped_shards_are_counted_by_variant() -> None:
    instances = [
        instance("plan", "success"),
        instance("control.register", "success"),
        instance("control.shards.UA", "success"),
        instance("control.shards.DL", "deferred"),
        instance("control.shards.AA", None),
        instance("treatment.shards", "failed"),
        instance("treatment.shards", "skipped"),
    ]
    assert count_shards(instances) == {"control": Shards(3, 1, 0), "treatment": Shards(2, 2, 1)}


def test_the_shards_of_a_pipeline_without_variants_are_counted_together() -> None:
    instances = [instance("publish", None), instance("shards.NY", "success"), instance("shards.NJ", "failed")]
    assert count_shards(instances) == {"all": Shards(2, 2, 1)}


def test_a_look_reads_services_as_ecs_describes_them() -> None:
    view = look("running", [], [{"serviceName": "encoder-control", "runningCount": 1, "desiredCount": 2}])
    assert view == RunView("running", {}, (Service("encoder-control", 1, 2),))


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, RunView("queued", {"control": Shards(16, 0, 0)}, (Service("encoder", 0, 0),)), ["run: queued"]),
        (RunView("running"), RunView("running"), []),
        (
            RunView("running", {}, (Service("encoder", 0, 0),)),
            RunView("running", {}, (Service("encoder", 0, 2),)),
            ["service encoder: 0 of 2 running"],
        ),
        (
            RunView("running", {"control": Shards(16, 3, 0)}),
            RunView("running", {"control": Shards(16, 5, 1)}),
            ["control: 5 of 16 shards done, 1 failed"],
        ),
        (
            RunView("running", {}, (Service("encoder", 2, 2),)),
            RunView("success", {}, (Service("encoder", 0, 0),)),
            ["service encoder: 0 of 0 running", "run: success"],
        ),
    ],
)
def test_piped_progress_tells_what_has_changed_and_nothing_else(
    before: RunView | None, after: RunView, lines: list[str]
) -> None:
    assert changes(before, after) == lines


def test_a_piped_line_begins_with_the_seconds() -> None:
    assert plain(12.34, "Airflow is healthy") == "[  12.3 s] Airflow is healthy"


def test_piped_output_has_one_plain_line_per_event() -> None:
    output = io.StringIO()
    progress = Progress(Console(file=output, force_terminal=False, width=40))
    progress.start("starting the local Fargate and making Airflow's database")
    progress.reached("local Fargate is ready", "starting Airflow")
    progress.update(RunView("running", {"control": Shards(16, 0, 0)}))
    progress.stop()
    words = [line[11:] for line in output.getvalue().splitlines()]
    assert words == [
        "starting the local Fargate and making Airflow's database",
        "local Fargate is ready",
        "run: running",
    ]


def test_a_terminal_sees_shards_and_services_in_a_table() -> None:
    output = io.StringIO()
    view = RunView("running", {"control": Shards(16, 5, 1)}, (Service("encoder-control", 1, 2),))
    Console(file=output, width=100).print(run_table(view))
    text = output.getvalue()
    assert "5 of 16 shards, 1 failed" in text
    assert "1 of 2 running" in text


def test_a_log_is_told_without_airflows_own_preparations() -> None:
    content = [
        {"event": "::group::Log message source details"},
        {"event": "/somewhere/attempt=1.log"},
        {"event": "::endgroup::"},
        {"event": "::group::Pre Execute"},
        {"event": "Filling up the DagBag"},
        {"event": "::endgroup::"},
        {"event": "first\nsecond"},
        {
            "event": "Task failed with exception",
            "error_detail": [
                {"exc_type": "ValueError", "exc_value": "boom", "frames": [{"filename": "job.py", "lineno": 7}]}
            ],
        },
        {"event": "::group::Post Execute"},
        {"event": "::endgroup::"},
    ]
    assert log_lines(content) == ["first", "second", "Task failed with exception", "ValueError: boom (job.py:7)"]


def test_a_group_that_was_never_closed_is_told_because_the_task_died_in_it() -> None:
    assert log_lines([{"event": "::group::Pre Execute"}, {"event": "Killed"}]) == ["Killed"]


def receipt(**changed: Any) -> dict[str, Any]:
    shards = {"total": 16, "succeeded": 16, "failed": 0, "skipped": 0}
    service = {"name": "encoder-control", "before": 0, "peak": 2, "after": 0}
    return {"state": "success", "variants": {"control": {"shards": shards, "services": [service]}}, **changed}


def test_a_good_receipt_has_no_problems() -> None:
    assert problems(receipt()) == []


@pytest.mark.parametrize(
    ("wrong", "sentences"),
    [
        (receipt(state="failed"), ["The receipt's state is 'failed', not 'success'."]),
        (receipt(variants={}), ["The receipt names no variant."]),
        (
            receipt(
                variants={
                    "control": {
                        "shards": {"total": 16, "succeeded": 15, "failed": 1, "skipped": 0},
                        "services": [{"name": "encoder-control", "before": 0, "peak": 2, "after": 2}],
                    }
                }
            ),
            [
                "Variant control: 1 of 16 shards failed.",
                "Variant control: service encoder-control is at 2 after the run, not 0.",
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_receipt_is_told(wrong: dict[str, Any], sentences: list[str]) -> None:
    assert problems(wrong) == sentences
