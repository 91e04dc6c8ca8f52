"""The receipt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pendulum
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from ecs_feature.operators.receipt import FeatureReceiptOperator, VariantTasks
from ecs_feature.results.receipts import render, run_state, variant_receipt
from ecs_feature.shards.records import record_text
from ecs_feature.tasks.prices import package_prices

PRICES = package_prices()


def test_the_receipt_adds_up_shards_services_and_cost() -> None:
    done = {"outcome": "succeeded", "vcpu_seconds": 1800.0, "gb_seconds": 3600.0, "memory_mib": 1024}
    interrupted = {
        **done,
        "outcome": "spot_interruption",
        "reason": "Your Spot Task was interrupted.",
        "task_arn": "arn:aws:ecs:us-east-1:1:task/features/0a",
        "capacity": "FARGATE_SPOT",
        "cpu": 512,
        "created_at": "2026-11-28T06:00:00.000+00:00",
        "waited": {"vCPU quota": 12.5},
    }
    receipt = variant_receipt(
        states={"AA": "success", "UA": "failed", "DL": "skipped", "OO": "upstream_failed"},
        records=[{"shard": "AA", "launches": [interrupted, {**done, "attempt": 2, "capacity": "FARGATE"}]}],
        up={"services": [{"name": "encoder", "before": 0, "desired": 2}]},
        steady={"services": [{"name": "encoder", "running": 2, "peak": 2}]},
        down={"services": [{"name": "encoder", "running": 0, "peak": 1}], "held": []},
        published={"rows": 842, "files": 16, "bytes": 1000, "manifest_uri": "s3://b/m"},
        prices=PRICES,
    )
    assert receipt == {
        "shards": {"total": 4, "succeeded": 1, "failed": 2, "skipped": 1},
        "launches": [
            {
                "shard": "AA",
                "attempt": 1,
                "task_id": "0a",
                "outcome": "spot_interruption",
                "capacity": "FARGATE_SPOT",
                "cpu": 512,
                "memory_mib": 1024,
                "cost_usd": pytest.approx((0.04048 + 2 * 0.004445) * 0.3 / 2, abs=1e-6),
                "created_at": "2026-11-28T06:00:00.000+00:00",
                "started_at": None,
                "stopped_at": None,
                "waited": {"vCPU quota": 12.5},
                "reason": "Your Spot Task was interrupted.",
            },
            {
                "shard": "AA",
                "attempt": 2,
                "task_id": "",
                "outcome": "succeeded",
                "capacity": "FARGATE",
                "cpu": 0,
                "memory_mib": 1024,
                "cost_usd": pytest.approx((0.04048 + 2 * 0.004445) / 2, abs=1e-6),
                "created_at": None,
                "started_at": None,
                "stopped_at": None,
            },
        ],
        "memory": None,
        "services": [{"name": "encoder", "before": 0, "peak": 2, "after": 0, "others": 0}],
        "rows": 842,
        "files": 16,
        "bytes": 1000,
        "manifest_uri": "s3://b/m",
        "missing": [],
        "vcpu_seconds": 3600.0,
        "gb_seconds": 7200.0,
        "cost_usd": round((0.04048 + 2 * 0.004445) * (0.3 + 1) / 2, 6),
    }


def test_a_launch_without_a_known_price_has_no_cost_and_the_run_has_the_quota_that_was_seen_last() -> None:
    def record(shard: str, quota: float | None, minute: int, **launch: Any) -> dict[str, Any]:
        one = {"outcome": "succeeded", "vcpu_seconds": 60.0, "stopped_at": f"2026-11-28T06:{minute:02}:00+00:00"}
        known = {} if quota is None else {"quota_vcpus": quota}
        return {"shard": shard, "launches": [{**one, **launch}], **known}

    def receipt(*records: dict[str, Any]) -> dict[str, Any]:
        return variant_receipt(
            states={}, records=iter(records), up=None, steady=None, down=None, published=None, prices=PRICES
        )

    unpriced = {"task_arn": "arn:aws:ecs:mars-1:1:task/features/0a"}
    made = receipt(record("AA", 6.0, 9, **unpriced), record("UA", 4000.0, 12, **unpriced), record("DL", None, 59))
    assert [launch["cost_usd"] for launch in made["launches"][:2]] == [None, None]
    assert made["quota_vcpus"] == 4000.0
    assert "quota_vcpus" not in receipt(record("DL", None, 59), {"shard": "OO", "launches": [], "quota_vcpus": 6.0})


def grown(shard: str, *sizes: int, succeeded: bool = True) -> dict[str, Any]:
    outcomes = ["out_of_memory"] * (len(sizes) - succeeded) + ["succeeded"] * succeeded
    launches = [{"outcome": outcome, "memory_mib": mib} for outcome, mib in zip(outcomes, sizes, strict=True)]
    return {"shard": shard, "launches": launches}


@pytest.mark.parametrize(
    ("records", "suggested", "note"),
    [
        ([grown("AA", 512, 1024), grown("UA", 512, 1024, 2048), grown("DL", 512)], 2048, True),
        ([grown("AA", 512, 1024), grown("UA", 512, 1024, succeeded=False)], None, False),
    ],
    ids=["enough was found", "one never had enough"],
)
def test_the_receipt_suggests_the_memory_that_was_enough(
    records: list[dict[str, Any]], suggested: int | None, note: bool
) -> None:
    variant = variant_receipt(
        states={}, records=records, up=None, steady=None, down=None, published=None, prices=PRICES
    )
    assert variant["memory"] == {"shards": ["AA", "UA"], "too_little_mib": 1024, "suggested_mib": suggested}
    receipt = {"dag_id": "f", "run_id": "r", "logical_date": None, "state": "success", "seconds": 1.0}
    text = render({**receipt, "variants": {"control": variant}})
    assert ("2 shards ran out of memory at 1024 MiB; write 2048 MiB into the task definition" in text) is note
    assert "control: 3 of 6 launches ended as out_of_memory (AA, UA)" in text or not note


@pytest.mark.parametrize(
    ("down", "after", "others", "shown"),
    [
        pytest.param([], None, None, "encoder 2-6-None", id="not-given-back"),
        pytest.param([{"name": "encoder", "running": 0, "peak": 2, "others": 0}], 0, 0, "encoder 2-6-0", id="last"),
        pytest.param(
            [{"name": "encoder", "running": 4, "peak": 6, "others": 4}],
            0,
            4,
            "encoder 2-6-0 (others hold 4)",
            id="held",
        ),
        pytest.param(
            [{"name": "encoder", "running": 2, "peak": 6, "others": 4}],
            0,
            4,
            "encoder 2-6-0 (others hold 4)",
            id="rising",
        ),
        pytest.param([{"name": "encoder", "running": 1, "peak": 6, "others": 0}], 1, 0, "encoder 2-6-1", id="baseline"),
    ],
)
def test_what_runs_for_the_leases_of_other_runs_is_told_apart(
    down: list[dict[str, Any]], after: int | None, others: int | None, shown: str
) -> None:
    variant = variant_receipt(
        states={"AA": "success"},
        records=[],
        up={"services": [{"name": "encoder", "before": 2, "desired": 4}]},
        steady={"services": [{"name": "encoder", "running": 6, "peak": 6}]},
        down={"services": down, "held": []},
        published=None,
        prices=PRICES,
    )
    assert variant["services"] == [{"name": "encoder", "before": 2, "peak": 6, "after": after, "others": others}]
    receipt = {"dag_id": "flights", "run_id": "r", "logical_date": "2013-01-01", "state": "success", "seconds": 1.0}
    assert shown in render({**receipt, "variants": {"control": variant}})


def test_a_receipt_of_a_run_that_never_scaled_is_still_written() -> None:
    receipt = variant_receipt(
        states={"AA": None}, records=[], up=None, steady=None, down=None, published=None, prices=PRICES
    )
    assert (receipt["rows"], receipt["services"], receipt["cost_usd"], receipt["manifest_uri"]) == (0, [], 0.0, None)


def test_launches_on_instances_cost_nothing_and_the_table_says_so() -> None:
    launch = {"outcome": "succeeded", "vcpu_seconds": 3600.0, "gb_seconds": 0.0}
    records = [
        {"shard": shard, "launches": [{**launch, "capacity": capacity}]}
        for shard, capacity in (("AA", "FARGATE"), ("UA", "batch"), ("OO", "EC2"), ("B6", "EC2"))
    ]
    variant = variant_receipt(
        states=dict.fromkeys(("AA", "UA", "OO", "B6"), "success"), records=records, up=None, steady=None, down=None,
        published=None,
        prices=PRICES,
    )  # fmt: skip
    assert (variant["cost_usd"], variant["vcpu_seconds"]) == (0.04048, 4 * 3600)
    receipt = {"dag_id": "d", "run_id": "r", "logical_date": "2013-01-01", "state": "success", "seconds": 1.0}
    assert render({**receipt, "variants": {"control": variant}}).splitlines()[-1] == (
        "control: 3 of 4 launches ran on instances (EC2, batch), which are paid by themselves and not part of the cost"
    )


def test_the_table_names_the_run_and_every_variant() -> None:
    variant = variant_receipt(
        states={"AA": "success"}, records=[], up=None, steady=None, down=None, published=None, prices=PRICES
    )
    text = render(
        {
            "dag_id": "flights",
            "run_id": "manual__1",
            "logical_date": "2013-01-01",
            "state": "success",
            "seconds": 61.4,
            "variants": {"control": variant, "treatment": variant},
        }
    )
    assert text.splitlines()[0] == "flights 2013-01-01: success in 61 s (manual__1)"
    assert [line.split()[:2] for line in text.splitlines()[3:]] == [["control", "1/1"], ["treatment", "1/1"]]


@pytest.mark.parametrize(
    ("states", "expected"),
    [(["success", "skipped"], "success"), (["success", "failed"], "failed"), (["success", None], "failed")],
)
def test_a_run_is_a_success_when_every_task_succeeded_or_was_skipped(states: list[str | None], expected: str) -> None:
    assert run_state(states) == expected


class TaskInstance(SimpleNamespace):
    """Of the receipt: the states of the run's tasks, and what they have left."""

    dag_id, run_id = "flights", "manual__1"

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {self.run_id: self.states}

    def xcom_pull(self, task_ids: Any) -> Any:
        return ["UA"] if task_ids == "find_shards" else self.records if task_ids == ["control.shard"] else None


def test_shards_that_the_run_no_longer_finds_are_not_in_its_receipt() -> None:
    launch = {"task_arn": "x", "outcome": "succeeded", "vcpu_seconds": 60.0, "gb_seconds": 120.0}
    records = [record_text({"shard": name, "launches": [launch]}) for name in ("UA", "AA")]
    states = {"plan": "success", "control.shard_0": "success", "control.shard_1": "removed"}
    began = pendulum.now("UTC")
    context = {
        "ti": TaskInstance(states=states, records=records),
        "dag_run": SimpleNamespace(logical_date=began, start_date=began, run_after=began),
        "params": {},
    }
    tasks = VariantTasks(["control.shard"], "control.publish")
    receipt = FeatureReceiptOperator(task_id="receipt", variants={"control": tasks}, found_by="find_shards").execute(
        context
    )
    assert receipt["state"] == "success"
    control = receipt["variants"]["control"]
    assert (control["shards"]["succeeded"], control["shards"]["total"]) == (1, 1)
    assert [one["shard"] for one in control["launches"]] == ["UA"]
    assert control["vcpu_seconds"] == 60.0


def test_the_receipt_leaves_the_cells_of_the_board_and_is_written_without_them_too() -> None:
    records = [record_text({"shard": "UA", "outcome": "succeeded", "launches": []})]
    began = pendulum.now("UTC")
    tasks = VariantTasks(["control.shard"], "control.publish")
    left: dict[str, Any] = {}

    def run(push: Any) -> dict[str, Any]:
        ti = TaskInstance(states={"control.shard_0": "success", "control.shard_1": "removed"}, records=records)
        ti.xcom_push = push
        run = SimpleNamespace(logical_date=began, start_date=began, run_after=began)
        receipt = FeatureReceiptOperator(
            task_id="receipt", variants={"control": tasks}, found_by="find_shards", group_id="features"
        )
        return receipt.execute({"ti": ti, "dag_run": run, "params": {}})

    def refuse(**_: Any) -> None:
        raise RuntimeError("a custom XCom backend")

    assert run(lambda key, value: left.update({key: value})) == run(refuse) | {"seconds": ANY}
    board = left["board"]
    assert (board["format"], board["usd"], list(board["lanes"])) == (1, 0.0, ["features.control"])
    assert (board["lanes"]["features.control"]["shards"], board["lanes"]["features.control"]["states"]) == (["UA"], "R")


def test_a_task_of_the_users_behind_the_publish_does_not_decide_the_state() -> None:
    """Such a task may be running, or have failed, while the receipt is written; a shard may not."""
    began = pendulum.now("UTC")
    tasks = VariantTasks(["control.shard"], "publish")
    with DAG("p", schedule=None, start_date=began):
        publish = EmptyOperator(task_id="publish")
        receipt = FeatureReceiptOperator(task_id="receipt", variants={"control": tasks})
        publish >> [EmptyOperator(task_id="train"), receipt]
        EmptyOperator.partial(task_id="control.shard").expand_kwargs([{}]) >> publish

    def state(**states: str) -> Any:
        run = SimpleNamespace(logical_date=began, start_date=began, run_after=began)
        ti = TaskInstance(states={"publish": "success", **states}, records=[])
        return receipt.execute({"ti": ti, "dag_run": run, "params": {}})["state"]

    assert state(train="running") == state(train="failed") == "success"
    assert state(**{"control.shard_0": "failed"}) == "failed"


def test_the_receipt_names_what_tasks_of_the_users_between_publish_and_receipt_have_made() -> None:
    began = pendulum.now("UTC")
    asked: list[str] = []

    def receipt_with(**left: Any) -> dict[str, Any]:
        with DAG("p", schedule=None, start_date=began):
            publish, down = EmptyOperator(task_id="publish"), EmptyOperator(task_id="scale_down")
            tasks = VariantTasks(["control.shard"], "publish", scale_down="scale_down", names=["UA"])
            receipt = FeatureReceiptOperator(task_id="receipt", variants={"": tasks})
            [publish, down] >> receipt
            for task_id in left:
                publish >> EmptyOperator(task_id=task_id) >> receipt
            publish >> EmptyOperator(task_id="train")

        class Left(TaskInstance):
            def xcom_pull(self, task_ids: Any, key: str = "return_value") -> Any:
                if key != "artifacts":
                    return super().xcom_pull(task_ids)
                asked.append(task_ids)
                return left[task_ids]

        run = SimpleNamespace(logical_date=began, start_date=began, run_after=began)
        ti = Left(states={"publish": "success", "control.shard": "success"}, records=[])
        found: dict[str, Any] = receipt.execute({"ti": ti, "dag_run": run, "params": {}})
        return found

    assert "artifacts" not in receipt_with()
    assert asked == []  # the pipelines that have no such task do not pay for it
    assert "artifacts" not in receipt_with(picture=None, check="not a mapping")
    assert asked == ["check", "picture"]
    receipt = receipt_with(picture={"picture": "s3://b/p.png"}, table={"table": "s3://b/t.csv"})
    assert receipt["artifacts"] == {"picture": "s3://b/p.png", "table": "s3://b/t.csv"}
    assert render(receipt).splitlines()[-2:] == ["picture: s3://b/p.png", "table: s3://b/t.csv"]


def test_the_table_says_which_shards_nobody_has_published() -> None:
    nothing: dict[str, Any] = {"states": {}, "records": [], "up": None, "steady": None, "down": None, "prices": PRICES}
    variant = variant_receipt(**nothing, published={"missing": [f"S{number}" for number in range(12)]})
    text = render(
        {"dag_id": "d", "logical_date": "2013-01-01", "state": "success", "seconds": 1.0, "run_id": "r",
         "variants": {"control": variant}}
    )  # fmt: skip
    assert "control: 12 shards have never been published for this partition (S0, S1," in text
    assert "S9 and 2 more)" in text


def test_the_receipt_says_which_tasks_of_a_service_were_replaced_and_why() -> None:
    reason = "Task failed ELB health checks in (target-group tg)"
    variant = variant_receipt(
        states={"AA": "success"},
        records=[],
        up={"services": [{"name": "encoder", "before": 0, "desired": 6}]},
        steady=None,
        down={
            "services": [{"name": "encoder", "running": 0, "peak": 10}],
            "held": [{"name": "encoder", "replaced": {reason: 4}}],
        },
        published=None,
        prices=PRICES,
    )
    assert variant["services"] == [
        {"name": "encoder", "before": 0, "peak": 10, "after": 0, "others": 0, "replaced": {reason: 4}}
    ]
    receipt = {"dag_id": "d", "run_id": "r", "logical_date": "2013-01-01", "state": "success", "seconds": 1.0}
    text = render({**receipt, "variants": {"control": variant}})
    assert text.splitlines()[-1] == f"control: 4 tasks of encoder were replaced: 4 x {reason}"


def test_a_pipeline_without_variants_in_a_task_group_has_one_line() -> None:
    published = {"rows": 1, "files": 1, "bytes": 1, "missing": ["NY"]}
    variant = variant_receipt(
        states={"CA": "success"}, records=[], up=None, steady=None, down=None, published=published, prices=PRICES
    )
    receipt = {"dag_id": "own", "task_group": "states", "run_id": "r", "logical_date": "2026-01-01", "state": "success"}
    lines = render({**receipt, "seconds": 3, "variants": {"": variant}}).splitlines()
    assert lines[0] == "own.states 2026-01-01: success in 3 s (r)"
    assert lines[3].startswith("all ")
    assert lines[4] == "all: 1 shards have never been published for this partition (NY)"
