"""The published manifest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException
from moto import mock_aws

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.s3 import split_uri
from ecs_feature.exceptions import PublishError
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.results.manifests import Expected, ManifestStore, merge
from ecs_feature.results.result_files import read_result
from ecs_feature.shards.records import record_text
from ecs_feature.shards.selection import ALL_FOUND

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
    # moto compares the ETag and then writes, and closes what a reader may still read; in S3 each call is one step.
    one_step = threading.Lock()

    def in_one_step(call: Any) -> Any:
        def locked(**arguments: Any) -> Any:
            with one_step:
                return call(**arguments)

        return locked

    for name in ("get_object", "put_object"):
        monkeypatch.setattr(s3, name, in_one_step(getattr(s3, name)))
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
    """Of the publish task: what its shards have left, and ``find_shards`` by key."""

    def __init__(self, *records: dict[str, Any], found: dict[str, list[str]] | None = None) -> None:
        self.records = [record_text(record) for record in records]
        self.found = found or {}

    def xcom_pull(self, task_ids: Any, key: str = "return_value") -> Any:
        return self.found.get(key) if task_ids == "find_shards" else self.records


def publish(
    s3: Any,
    monkeypatch: pytest.MonkeyPatch,
    *records: dict[str, Any],
    shards: list[str] | None = None,
    found: dict[str, list[str]] | None = None,
    **options: Any,
) -> dict[str, Any]:
    monkeypatch.setattr(AwsConnection, "client", lambda self, service: s3)
    operator = FeaturePublishOperator(
        task_id="publish", shard_task_ids=["UA"], prefix="s3://bucket/p", about={}, **options
    )
    return operator.execute({"ti": TaskInstance(*records, found=found), "params": {"shards": shards}})


@pytest.mark.parametrize(
    ("other", "asked"),
    [
        pytest.param({"shard": "AA", "outcome": "skipped"}, None, id="skipped by its exit code"),
        pytest.param({"shard": "AA", "outcome": "succeeded"}, ["UA"], id="left by a run that had asked for it, too"),
        pytest.param({"shard": "UA", "outcome": "succeeded"}, None, id="left at an index that is no longer used"),
    ],
)
def test_a_record_that_is_not_of_this_runs_results_is_not_published_and_spoils_nothing(
    s3: Any, monkeypatch: pytest.MonkeyPatch, other: dict[str, str], asked: list[str] | None
) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    other = {**other, "result_uri": "s3://bucket/gone"}
    published = publish(s3, monkeypatch, {**RECORD, "outcome": "succeeded"}, other, shards=asked)
    assert (published["shards"], published["rows"]) == (["UA"], 2)


def test_a_run_of_chosen_shards_names_those_that_nobody_has_published(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    skipped = {"shard": "WN", "outcome": "skipped", "result_uri": "s3://bucket/none"}
    records = ({**RECORD, "outcome": "succeeded"}, skipped)
    monkeypatch.setattr(AwsConnection, "client", lambda self, service: s3)
    named = FeaturePublishOperator(
        task_id="publish", shard_task_ids=["UA"], prefix="s3://bucket/named", about={}, shards=["AA", "UA", "WN"]
    )
    context = {"ti": TaskInstance(*records), "params": {"shards": ["UA", "WN"]}}
    assert named.execute(context)["missing"] == ["AA"]
    assert ManifestStore(s3, "s3://bucket/named").current()["missing"] == ["AA"]  # type: ignore[index]


def test_what_a_run_no_longer_finds_is_not_published_again(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "r", RESULT)
    put(s3, "f", "1234")
    before = {"shard": "AA", "outcome": "succeeded", "result_uri": "s3://bucket/gone"}
    records = ({**RECORD, "outcome": "succeeded"}, before)
    published = publish(s3, monkeypatch, *records, found={"return_value": ["UA"]}, found_by="find_shards")
    assert (published["shards"], published["missing"]) == (["UA"], [])
    both = {"return_value": ["UA"], ALL_FOUND: ["AA", "UA"]}
    restricted = publish(s3, monkeypatch, *records, shards=["UA"], found=both, found_by="find_shards")
    assert (restricted["shards"], restricted["missing"]) == (["UA"], ["AA"])


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


@pytest.mark.parametrize("key", ["features/tenant#7/part 1.parquet", "a?b/c", "x", ""])
def test_a_key_is_everything_after_the_bucket(key: str) -> None:
    assert split_uri(f"s3://bucket/{key}") == ("bucket", key)


@pytest.mark.parametrize("uri", ["bucket/key", "https://bucket/key", "s3:///key", "s3://"])
def test_what_is_not_an_s3_uri_is_refused(uri: str) -> None:
    with pytest.raises(PublishError, match="is not an S3 URI; write s3://bucket/key"):
        split_uri(uri)
