"""What a publish says: to its assets, and of where the files come from; and the way back to an earlier version."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.task_runner import _serialize_outlet_events
from airflow.utils import cli_action_loggers
from moto import mock_aws

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.cli import manifest_command
from ecs_feature.exceptions import PublishError, SelectionError
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.results.manifests import ManifestStore
from ecs_feature.results.provenance import CODE_VERSION, code_version
from ecs_feature.shards.records import record_text

PREFIX = "s3://bucket/out/ds=2026-03-28"
ASSET = Asset("s3://bucket/out/")
LAUNCH = {"task_arn": "arn", "outcome": "succeeded", "reason": "", "attempt": 1}
DIGEST, ARN = "sha256:0a", "arn:aws:ecs:eu-west-1:1:task-definition/rt:7"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        monkeypatch.setattr(AwsConnection, "client", lambda self, service: client)
        yield client


def published(*shards: str, run_key: str | None = None, **options: Any) -> list[dict[str, Any]]:
    """Publish these shards; the asset's events as Airflow's task runner sends them."""
    records = [
        {
            "shard": name,
            "outcome": "succeeded",
            "output_uri": f"{PREFIX}/shard={name}/1",
            "launches": [LAUNCH, {**LAUNCH, "image_digest": DIGEST, "task_definition": "rt:7"}],
        }
        for name in shards
    ]

    def pull(task_ids: Any, key: str = "return_value") -> Any:
        if task_ids == "register":
            return "1.2.3" if key == CODE_VERSION else ARN
        return [record_text(record) for record in records]

    operator = FeaturePublishOperator(
        task_id="publish",
        shard_task_ids=list(shards),
        prefix=PREFIX,
        about={"dag_id": "d", "run_id": "r", "partition": "2026-03-28", "variant": "a"},
        shards=("CA", "NY"),
        result="exit_code",
        registered_by="register",
        outlets=[ASSET],
        **options,
    )
    events = OutletEventAccessors()
    bundle = SimpleNamespace(version="abc123")
    ti = SimpleNamespace(dag_id="d", run_id="r", xcom_pull=pull, bundle_instance=bundle)
    run = SimpleNamespace(partition_key=run_key)
    operator.execute({"ti": ti, "params": {"shards": list(shards)}, "outlet_events": events, "dag_run": run})
    return sorted(_serialize_outlet_events(events), key=lambda each: str(each["partition_key"]))


def keys(events: list[dict[str, Any]]) -> list[Any]:
    return [event["partition_key"] for event in events]


def test_the_asset_gets_an_event_of_the_partition_and_one_for_whoever_knows_no_partitions(s3: Any) -> None:
    events = published("CA", "NY")
    assert keys(events) == ["2026-03-28", None]
    for event in events:
        assert event["dest_asset_key"] == {"name": ASSET.name, "uri": ASSET.uri}
        assert event["extra"]["manifest_uri"] == f"{PREFIX}/manifest/v=0001.json"
        assert (event["extra"]["partition"], event["extra"]["variant"]) == ("2026-03-28", "a")
        assert (event["extra"]["shards"], event["extra"]["missing"], event["extra"]["rows"]) == (2, 0, 0)
        assert event["extra"]["shards_url"].endswith("/dags/d/runs/r/plugin/shards-run")
    assert keys(published("CA", run_key="2026-03-28T00:00:00")) == ["2026-03-28"]


def test_each_shard_of_the_run_has_an_event_where_that_is_asked_for(s3: Any) -> None:
    assert keys(published("CA", "NY", asset_partitions="shard")) == ["2026-03-28|CA", "2026-03-28|NY", None]
    assert keys(published("NY", asset_partitions="shard")) == ["2026-03-28|NY", None]


def test_the_manifest_says_what_it_was_made_from(s3: Any) -> None:
    published("NY")
    content = ManifestStore(s3, PREFIX).current()
    assert content is not None
    assert {key: content[key] for key in ("task_definition", "code_version", "bundle_version", "run_id")} == {
        "task_definition": ARN,
        "code_version": "1.2.3",
        "bundle_version": "abc123",
        "run_id": "r",
    }
    assert content["shards"]["NY"] == {"rows": 0, "files": [], "image_digest": DIGEST, "task_definition": "rt:7"}


@pytest.mark.parametrize(
    ("tags", "version"),
    [
        ([{"key": "git-sha", "value": "0a1b"}], "0a1b"),
        ([{"key": "Version", "value": "2"}, {"key": "code-version", "value": "1.2"}], "1.2"),
        ([{"key": "team", "value": "x"}], None),
        ([], None),
    ],
)
def test_the_codes_version_is_a_tag_of_the_task_definition(tags: list[dict[str, str]], version: str | None) -> None:
    assert code_version({"family": "rt", "tags": tags}) == version


def numbered(s3: Any) -> ManifestStore:
    """A manifest in three versions: CA; CA and NY; another CA and NY."""
    store = ManifestStore(s3, PREFIX)

    def shard(name: str) -> dict[str, Any]:
        return {"rows": 1, "files": [{"uri": f"s3://bucket/{name}", "bytes": 1}], "image_digest": DIGEST}

    store.publish({"CA": shard("ca-1")}, {"run_id": "1"})
    store.publish({"NY": shard("ny-1")}, {"run_id": "2"})
    store.publish({"CA": shard("ca-2")}, {"run_id": "3"})
    return store


def test_going_back_moves_the_pointer_and_the_next_publish_goes_on_from_there(s3: Any) -> None:
    store = numbered(s3)
    assert store.versions() == [1, 2, 3]
    assert store.roll_back().manifest["version"] == 2
    assert store.current() == store.version(2)
    following = store.publish({}, {"run_id": "4"}).manifest
    assert (following["version"], following["previous"]) == (4, 2)
    assert following["shards"]["CA"]["files"][0]["uri"] == "s3://bucket/ca-1"
    assert store.roll_back(1).uri == f"{PREFIX}/manifest/v=0001.json"


def test_going_back_to_nothing_is_refused_in_words(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PublishError, match="nothing has been published there"):
        ManifestStore(s3, "s3://bucket/empty").roll_back()
    store = numbered(s3)
    with pytest.raises(PublishError, match="has no version 9; it has 1, 2, 3"):
        store.roll_back(9)
    with pytest.raises(PublishError, match="is at version 3 already"):
        store.roll_back(3)
    store.roll_back(1)
    with pytest.raises(PublishError, match="is at version 1, its first one"):
        store.roll_back()
    pointer = store._pointer()
    monkeypatch.setattr(ManifestStore, "_pointer", lambda self: (pointer[0], '"an older etag"'))
    with pytest.raises(PublishError, match="another publish came first"):
        store.roll_back(2)
    monkeypatch.undo()


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Airflow's audit log gets from the command line."""
    found: list[Any] = []
    monkeypatch.setattr(
        cli_action_loggers, "on_pre_execution", lambda **about: found.append((about["sub_command"], about["dag_id"]))
    )
    monkeypatch.setattr(cli_action_loggers, "on_post_execution", lambda **about: None)
    return found


def command(s3: Any, action: str, capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    values = {"version": None, "against": None, "output": "table", "aws_conn_id": "", "region": None} | options
    manifest_command.manifest.__wrapped__.__wrapped__(Namespace(action=action, target=PREFIX, **values))
    return capsys.readouterr().out


def test_the_command_shows_compares_and_goes_back(
    s3: Any, capsys: pytest.CaptureFixture[str], audited: list[Any]
) -> None:
    numbered(s3)
    shown = command(s3, "show", capsys)
    assert shown.splitlines()[:2] == ["version 3 (the current one) of 1, 2, 3", "run_id: 3"]
    assert f"image: {DIGEST}, 2 shards (CA, NY)" in shown
    assert json.loads(command(s3, "show", capsys, output="json", version=1))["run_id"] == "1"
    assert command(s3, "diff", capsys).splitlines() == ["from version 2 to 3", "CA: 1 to 1 rows"]
    assert command(s3, "diff", capsys, version=2).splitlines()[:2] == ["from version 1 to 2", "added: 1 (NY)"]
    assert json.loads(command(s3, "diff", capsys, version=1, output="json"))["from"] is None
    assert audited == []
    assert "is at version 2" in command(s3, "rollback", capsys)
    assert audited == [("manifest_rollback", None)]
    with pytest.raises(SystemExit, match="has no version 7"):
        command(s3, "rollback", capsys, version=7)


@pytest.mark.parametrize(
    ("arguments", "prefix", "sentence"),
    [
        ({"variant": "a", "partition": "2026-03-28"}, "s3://b/variant=a/ds={{ ds }}", ""),
        ({"variant": "b", "partition": "2026-W13"}, "s3://b/variant=b/week={{ partition }}", ""),
        ({"variant": None, "partition": "2026-W13"}, "x", "--variant: None is not one; choose from a, b"),
        ({"variant": "a", "partition": None}, "x", "--partition: none is given"),
        ({"variant": "a", "partition": "1"}, "s3://b/{{ params.x }}", "has other templates; give the prefix itself"),
    ],
)
def test_a_dag_and_a_partition_name_a_prefix(arguments: dict[str, Any], prefix: str, sentence: str) -> None:
    found = dict.fromkeys(("a", "b"), SimpleNamespace(prefix=prefix))
    args = Namespace(target="d", **arguments)
    if sentence:
        with pytest.raises(SelectionError, match=sentence):
            manifest_command._prefix(args, found)
    else:
        expected = f"s3://b/variant={args.variant}/{prefix.split('/')[-1].split('=')[0]}={args.partition}"
        assert manifest_command._prefix(args, found) == expected
