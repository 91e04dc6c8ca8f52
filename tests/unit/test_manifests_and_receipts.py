"""The published manifest and the receipt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException
from moto import mock_aws

from ecs_feature.exceptions import PublishError, SelectionError
from ecs_feature.manifests import Expected, ManifestStore, merge, split_uri
from ecs_feature.operators import publish as publish_module
from ecs_feature.operators.publish import FeaturePublishOperator, read_result
from ecs_feature.receipts import render, run_state, variant_receipt
from ecs_feature.records import record_text
from ecs_feature.selection import Selection, of_this_run, select, wished

PREFIX = "s3://bucket/features/variant=control/ds=2013-01-01"


def shard(rows: int, name: str = "x") -> dict[str, Any]:
    return {"rows": rows, "files": [{"uri": f"s3://bucket/{name}", "bytes": 10 * rows, "rows": rows, "sha256": "0"}]}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client


def test_the_next_version_keeps_the_shards_that_were_not_computed_again() -> None:
    first = merge(None, {"AA": shard(3), "UA": shard(5)}, {"run_id": "1"})
    second = merge(first, {"UA": shard(6)}, {"run_id": "2"})
    assert (first["version"], first["previous"], first["rows"], first["files"], first["bytes"]) == (1, None, 8, 2, 80)
    assert (second["version"], second["previous"], second["rows"], second["run_id"]) == (2, 1, 9, "2")
    assert second["shards"]["AA"] == first["shards"]["AA"]


def test_a_version_names_the_shards_that_no_run_has_published_yet() -> None:
    all_of_them = ("AA", "DL", "UA", "WN")
    first = merge(None, {"AA": shard(3)}, {}, Expected(all_of_them, skipped=["WN"]))
    second = merge(first, {"UA": shard(5)}, {}, Expected(all_of_them))
    third = merge(second, {"DL": shard(5), "WN": shard(1)}, {}, Expected(all_of_them))
    assert [version["missing"] for version in (first, second, third)] == [["DL", "UA"], ["DL"], []]
    assert [version["skipped"] for version in (first, second, third)] == [["WN"], ["WN"], []]
    old = {key: value for key, value in first.items() if key not in ("missing", "skipped")}
    assert merge(old, {"UA": shard(5)}, {})["missing"] == []


def test_publishing_moves_the_pointer_and_keeps_the_history(s3: Any) -> None:
    store = ManifestStore(s3, PREFIX)
    assert store.current() is None
    first = store.publish({"AA": shard(3)}, {"run_id": "1"})
    second = store.publish({"UA": shard(5)}, {"run_id": "2"})
    assert (first.uri, second.uri) == (f"{PREFIX}/manifest/v=0001.json", f"{PREFIX}/manifest/v=0002.json")
    assert store.current() == second.manifest
    assert sorted(second.manifest["shards"]) == ["AA", "UA"]
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert [key.rsplit("/", 1)[1] for key in keys] == ["current.json", "v=0001.json", "v=0002.json"]


def test_of_publishes_at_once_every_shard_is_in_the_end(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # moto compares the ETag and then writes, which S3 does in one step.
    one_step, put = threading.Lock(), s3.put_object

    def put_object(**arguments: Any) -> Any:
        with one_step:
            return put(**arguments)

    monkeypatch.setattr(s3, "put_object", put_object)
    names = [f"S{i}" for i in range(8)]
    threads = [
        threading.Thread(target=ManifestStore(s3, PREFIX).publish, args=({name: shard(1, name)}, {"run_id": name}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    current = ManifestStore(s3, PREFIX).current()
    assert current is not None
    assert sorted(current["shards"]) == names


def test_a_version_whose_writer_died_before_moving_the_pointer_is_passed_over(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key=f"{split_uri(PREFIX)[1]}/manifest/v=0001.json", Body=b"{}")
    published = ManifestStore(s3, PREFIX).publish({"AA": shard(3)}, {})
    assert published.uri.endswith("v=0002.json")
    assert published.manifest["previous"] is None


def put(s3: Any, key: str, body: str) -> None:
    s3.put_object(Bucket="bucket", Key=key, Body=body.encode())


RESULT = '{"shard": "UA", "rows": 2, "files": [{"uri": "s3://bucket/f", "bytes": 4, "rows": 2, "sha256": "0"}]}'
RECORD = {"shard": "UA", "result_uri": "s3://bucket/r"}


def test_a_whole_result_is_read(s3: Any) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    assert read_result(s3, RECORD)["rows"] == 2


@pytest.mark.parametrize(
    ("result", "file", "said"),
    [
        (None, None, "Shard UA: exited with 0 but left no result file s3://bucket/r"),
        (RESULT, None, "Shard UA: its file s3://bucket/f is not there"),
        (RESULT, "12345", "Shard UA: s3://bucket/f has 5 bytes, not 4"),
        (RESULT.replace('"rows": 2, "sha', '"rows": 3, "sha'), "1234", "is of shard UA with 2 rows"),
        (RESULT.replace('"UA"', '"AA"'), "1234", "is of shard AA with 2 rows"),
        ("{}", "1234", "breaks the job contract"),
        ("not json", "1234", "breaks the job contract"),
    ],
    ids=["no result", "no file", "other size", "rows differ", "other shard", "empty", "no json"],
)
def test_a_result_that_is_not_whole_is_not_published(s3: Any, result: str | None, file: str | None, said: str) -> None:
    if result is not None:
        put(s3, "r", result)
    if file is not None:
        put(s3, "f", file)
    with pytest.raises(PublishError) as refused:
        read_result(s3, RECORD)
    assert said in str(refused.value)


class TaskInstance:
    """Of the publish task: what its shards have left."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = [record_text(record) for record in records]

    def xcom_pull(self, task_ids: list[str]) -> list[str]:
        return self.records


def publish(
    s3: Any, monkeypatch: pytest.MonkeyPatch, *records: dict[str, Any], shards: list[str] | None = None
) -> dict[str, Any]:
    monkeypatch.setattr(publish_module, "client_of", lambda service, aws: s3)
    operator = FeaturePublishOperator(task_id="publish", shard_task_ids=["UA"], prefix="s3://bucket/p", about={})
    return operator.execute({"ti": TaskInstance(*records), "params": {"shards": shards}})


def test_a_shard_that_its_exit_code_skipped_is_not_published_and_spoils_nothing(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    skipped = {"shard": "AA", "outcome": "skipped", "result_uri": "s3://bucket/none"}
    published = publish(s3, monkeypatch, {**RECORD, "outcome": "succeeded"}, skipped)
    assert (published["shards"], published["rows"]) == (["UA"], 2)


def test_what_a_shard_that_the_run_leaves_out_had_left_before_is_not_published_again(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    before = {"shard": "AA", "outcome": "succeeded", "result_uri": "s3://bucket/gone"}
    published = publish(s3, monkeypatch, {**RECORD, "outcome": "succeeded"}, before, shards=["UA"])
    assert published["shards"] == ["UA"]


def test_of_two_records_of_a_shard_the_one_at_the_index_that_is_still_used_counts(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    before = {"shard": "UA", "outcome": "succeeded", "result_uri": "s3://bucket/gone"}
    published = publish(s3, monkeypatch, {**RECORD, "outcome": "succeeded"}, before)
    assert (published["shards"], published["rows"]) == (["UA"], 2)


def test_without_any_result_nothing_is_published(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowException, match="No shard of this run has left a record"):
        publish(s3, monkeypatch, {"shard": "AA", "outcome": "skipped", "result_uri": "s3://bucket/none"})


def test_of_many_results_the_first_that_is_not_whole_is_told(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    missing = [
        {"shard": f"S{n:02}", "outcome": "succeeded", "result_uri": f"s3://bucket/missing-{n}"} for n in range(40)
    ]
    with pytest.raises(AirflowException, match="Shard S00: exited with 0 but left no result file"):
        publish(s3, monkeypatch, {**RECORD, "outcome": "succeeded"}, *missing)


def test_the_receipt_adds_up_shards_services_and_cost() -> None:
    done = {"outcome": "succeeded", "vcpu_seconds": 1800.0, "gb_seconds": 3600.0, "memory_mib": 1024}
    interrupted = {
        **done,
        "outcome": "spot_interruption",
        "reason": "Your Spot Task was interrupted.",
        "task_arn": "arn:aws:ecs:us-east-1:1:task/features/0a",
        "capacity": "FARGATE_SPOT",
    }
    receipt = variant_receipt(
        states={"AA": "success", "UA": "failed", "DL": "skipped", "OO": "upstream_failed"},
        records=[{"shard": "AA", "launches": [interrupted, {**done, "attempt": 2, "capacity": "FARGATE"}]}],
        up={"services": [{"name": "encoder", "before": 0, "desired": 2}]},
        steady={"services": [{"name": "encoder", "running": 2, "peak": 2}]},
        down={"services": [{"name": "encoder", "running": 0, "peak": 1}], "held": []},
        published={"rows": 842, "files": 16, "bytes": 1000, "manifest_uri": "s3://b/m"},
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
                "memory_mib": 1024,
                "started_at": None,
                "stopped_at": None,
                "reason": "Your Spot Task was interrupted.",
            },
            {
                "shard": "AA",
                "attempt": 2,
                "task_id": "",
                "outcome": "succeeded",
                "capacity": "FARGATE",
                "memory_mib": 1024,
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
    variant = variant_receipt(states={}, records=records, up=None, steady=None, down=None, published=None)
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
    )
    assert variant["services"] == [{"name": "encoder", "before": 2, "peak": 6, "after": after, "others": others}]
    receipt = {"dag_id": "flights", "run_id": "r", "logical_date": "2013-01-01", "state": "success", "seconds": 1.0}
    assert shown in render({**receipt, "variants": {"control": variant}})


def test_a_receipt_of_a_run_that_never_scaled_is_still_written() -> None:
    receipt = variant_receipt(states={"AA": None}, records=[], up=None, steady=None, down=None, published=None)
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
    )  # fmt: skip
    assert (variant["cost_usd"], variant["vcpu_seconds"]) == (0.04048, 4 * 3600)
    receipt = {"dag_id": "d", "run_id": "r", "logical_date": "2013-01-01", "state": "success", "seconds": 1.0}
    assert render({**receipt, "variants": {"control": variant}}).splitlines()[-1] == (
        "control: 3 of 4 launches ran on instances (EC2, batch), which are paid by themselves and not part of the cost"
    )


def test_the_table_names_the_run_and_every_variant() -> None:
    variant = variant_receipt(states={"AA": "success"}, records=[], up=None, steady=None, down=None, published=None)
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


KNOWN = {"shards": ("AA", "DL", "UA"), "variants": ("control", "treatment")}


def test_nothing_chosen_means_all_and_the_pipelines_order_is_kept() -> None:
    assert select({"shards": [], "variants": None}, **KNOWN) == Selection(KNOWN["shards"], KNOWN["variants"])
    assert select({"shards": ["UA", "AA"], "variants": ["treatment"]}, **KNOWN) == Selection(
        ("AA", "UA"), ("treatment",)
    )


def test_blanks_and_empty_lines_of_the_trigger_form_are_no_names() -> None:
    chosen = select({"shards": ["UA ", "", " "], "live_log_shards": ["AA", ""]}, **KNOWN)
    assert chosen == Selection(("UA",), KNOWN["variants"])
    assert select({"shards": [""]}, **KNOWN).shards == KNOWN["shards"]
    assert wished(None) == wished([]) == []


RECORDS = [{"shard": name, "index": index} for index, name in enumerate(("AA", "UA", "DL", "UA"))]


@pytest.mark.parametrize(
    ("params", "found", "left"),
    [
        ({}, None, [0, 1, 2]),
        ({"shards": ["UA", ""]}, None, [1]),
        ({"shards": []}, ["AA", "UA"], [0, 1]),  # the run was done again, and found fewer than before
        ({"shards": ["DL"]}, ["DL"], [2]),
        ({}, [], []),
    ],
)
def test_a_run_publishes_the_shards_that_it_has_found(
    params: dict[str, Any], found: list[str] | None, left: list[int]
) -> None:
    assert [record["index"] for record in of_this_run(RECORDS, params, found)] == left


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"shards": ["ZZ"]}, "shards: 'ZZ' is not among the pipeline's 3 shards; choose from AA, DL, UA."),
        ({"variants": ["x", "y"]}, "variants: 'x', 'y' are not among the pipeline's 2 variants"),
        ({"shards": "UA"}, "shards: 'UA' is not a list"),
    ],
)
def test_an_unknown_choice_is_refused_in_one_sentence(params: dict[str, Any], said: str) -> None:
    with pytest.raises(SelectionError) as refused:
        select(params, **KNOWN)
    assert said in str(refused.value)
