"""Which shards must be there before a day is published, and what the results of jobs without a result file are."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from moto import mock_aws

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.exceptions import PublishError
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.results.completeness import Completeness
from ecs_feature.results.reader import read_manifest
from ecs_feature.results.result_files import list_outputs, read_results
from ecs_feature.shards.records import record_text

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "s3://bucket/rt/ds=2026-01-01"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client


@pytest.mark.parametrize(
    ("rule", "done", "lost", "refused"),
    [
        (Completeness(), ["a"], [], ""),
        (Completeness(), ["a"], ["b"], "1 shards of this run have failed: b"),
        (Completeness(partial=True), ["a"], ["b", "c"], ""),
        (Completeness(partial=True, share=0.5), ["a"], ["b"], ""),
        (Completeness(partial=True, share=0.51), ["a"], ["b"], "1 of 2 shards are there, less than the share of 0.51"),
        (Completeness(partial=True, required=("b",)), ["a"], ["b"], "publish: b must be there and failed"),
        (Completeness(partial=True, required=("z",)), ["a"], ["b"], ""),
    ],
)
def test_what_must_be_there(rule: Completeness, done: list[str], lost: list[str], refused: str) -> None:
    if not refused:
        rule.check(done, lost)
        return
    with pytest.raises(PublishError, match=refused):
        rule.check(done, lost)


class TaskInstance:
    """Of the publish task: the records that its shards have left."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = [record_text(record) for record in records]

    def xcom_pull(self, task_ids: Any, key: str = "return_value") -> Any:
        return self.records


def publish(s3: Any, monkeypatch: pytest.MonkeyPatch, *records: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    monkeypatch.setattr(AwsConnection, "client", lambda self, service: s3)
    operator = FeaturePublishOperator(
        task_id="publish",
        shard_task_ids=["x"],
        prefix=PREFIX,
        about={"run_id": "r"},
        shards=("CA", "NY", "TX"),
        **arguments,
    )
    context = {"ti": TaskInstance(*records), "params": {}, "outlet_events": {}}
    return dict(operator.execute(context))


def record(shard: str, outcome: str = "succeeded") -> dict[str, Any]:
    mine = f"{PREFIX}/shard={shard}/1"
    return {"shard": shard, "outcome": outcome, "output_uri": mine, "result_uri": f"{mine}.json", "launches": []}


def test_a_run_is_published_without_the_shard_that_failed(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="bucket", Key="rt/ds=2026-01-01/shard=NY/1/part-0", Body=b"12345")
    s3.put_object(Bucket="bucket", Key="rt/ds=2026-01-01/shard=NY/1/part-1", Body=b"123")
    s3.put_object(Bucket="bucket", Key="rt/ds=2026-01-01/shard=NY/0/of-an-earlier-try", Body=b"1")
    rules = {"result": "exit_code", "completeness": Completeness(partial=True)}
    published = publish(s3, monkeypatch, record("NY"), record("CA"), record("TX", "failed"), **rules)
    assert (published["files"], published["bytes"], published["missing"]) == (2, 8, ["TX"])
    manifest = read_manifest(PREFIX, s3=s3)
    assert manifest.content["result"] == "exit_code"
    assert manifest.missing == ["TX"]
    assert manifest.uris("NY") == [f"{PREFIX}/shard=NY/1/part-{n}" for n in (0, 1)]
    assert manifest.uris() == manifest.uris("NY"), "CA left nothing, which its exit code allows"
    assert read_manifest(published["manifest_uri"], s3=s3) == manifest
    with pytest.raises(PublishError, match="'TX' is not in version 1"):
        manifest.files("TX")


def test_too_little_is_tried_again_since_the_shards_may_be_cleared(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowException, match="2 shards of this run have failed: CA, TX") as error:
        publish(s3, monkeypatch, record("NY"), record("TX", "failed"), result="exit_code")
    assert not isinstance(error.value, AirflowFailException)


def test_what_cannot_heal_is_not_tried_again_and_names_all_shards_and_the_page(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AirflowFailException) as error:
        publish(s3, monkeypatch, record("CA"), record("NY"), record("TX"))
    assert "left no result file" in str(error.value)
    assert "3 shards have no complete result: CA, NY, TX." in str(error.value)
    assert "docs/job-contract.md" in str(error.value)
    assert 'result="exit_code"' in str(error.value)


def test_a_reader_of_nothing_is_told(s3: Any) -> None:
    with pytest.raises(PublishError, match=r"Nothing has been published there: .*current\.json does not exist"):
        read_manifest("s3://bucket/nothing", s3=s3)


def test_a_job_that_copied_the_contract_leaves_what_publish_wants(s3: Any, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("copied_contract", ROOT / "include" / "contract" / "contract.py")
    assert spec is not None
    assert spec.loader is not None
    copied = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = copied
    spec.loader.exec_module(copied)
    Contract = copied.Contract
    mine = f"{PREFIX}/shard=NY/1"
    environ = {"SHARD": "NY", "LOGICAL_DATE": "2026-01-01", "OUTPUT_URI": f"{mine}.csv", "RESULT_URI": f"{mine}.json"}
    (tmp_path / "out.csv").write_text("1\n2\n")
    Contract.from_environment(environ).finish(tmp_path / "out.csv", rows=2, s3=s3)
    result = read_results(s3, [record("NY")])["NY"]
    assert (result["rows"], result["files"][0]["bytes"]) == (2, 4)
    with pytest.raises(SystemExit, match="SHARD, RESULT_URI not set"):
        Contract.from_environment({"LOGICAL_DATE": "x", "OUTPUT_URI": "y"})
    assert list_outputs(s3, [{"shard": "NY", "output_uri": mine}])["NY"]["files"][0]["uri"].endswith("1.csv")


def test_the_contract_in_shell_writes_the_same(s3: Any, tmp_path: Path) -> None:
    fake = tmp_path / "aws"
    fake.write_text(
        '#!/bin/sh\n[ "$4" = - ] && cat > "$STORE/result" || cp "$4" "$STORE/output"\necho "$5" >> "$STORE/uris"\n'
    )
    fake.chmod(0o755)
    (tmp_path / "out").write_text("1\n2\n")
    environ = {
        "PATH": f"{tmp_path}:/usr/bin:/bin", "STORE": str(tmp_path), "SHARD": 'a"b\\c',
        "OUTPUT_URI": "s3://b/o.csv", "RESULT_URI": "s3://b/o.json",
    }  # fmt: skip
    subprocess.run([ROOT / "include" / "contract" / "contract.sh", tmp_path / "out", "2"], env=environ, check=True)
    result = json.loads((tmp_path / "result").read_text())
    assert (result["shard"], result["rows"], result["files"][0]["bytes"]) == ('a"b\\c', 2, 4)
    assert (tmp_path / "uris").read_text().split() == ["s3://b/o.csv", "s3://b/o.json"]
