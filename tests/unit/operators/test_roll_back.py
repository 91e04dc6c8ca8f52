"""The way back to an earlier version, as a task: it moves the pointer or changes nothing."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from moto import mock_aws

from ecs_feature.exceptions import PublishError
from ecs_feature.operators.roll_back import FeatureRollBackOperator
from ecs_feature.results.manifests import ManifestStore, version_of

PREFIX = "s3://bucket/features/variant=control/ds=2013-02-08"
FILE = Path(__file__).resolve().parents[3] / "dags" / "ecs_feature_rollback.py"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ManifestStore]:
    """With three versions, the third of which is current."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        made = ManifestStore(client, PREFIX)
        for number in (1, 2, 3):
            shards = {"AA": {"rows": number, "files": [], "result_uri": f"s3://bucket/{number}"}}
            made.publish(
                shards, {"dag_id": "d", "run_id": f"r{number}", "partition": "2013-02-08", "variant": "control"}
            )
        yield made


def uri(number: int) -> str:
    return f"{PREFIX}/manifest/v={number:04d}.json"


def make_current(manifest: str, instead_of: Any = "", of_dag: str = "") -> dict[str, Any]:
    operator = FeatureRollBackOperator(
        task_id="make_current", manifest_uri=manifest, instead_of=instead_of, of_dag=of_dag,
        aws_conn_id=None, region_name="us-east-1",
    )  # fmt: skip
    return operator.execute({})


def current(store: ManifestStore) -> int:
    found = store.current()
    assert found is not None
    return int(found["version"])


@pytest.mark.parametrize("instead_of", ["", " ", "3", 3])
def test_an_earlier_version_becomes_current_and_what_was_before_is_on_record(
    store: ManifestStore, instead_of: Any
) -> None:
    left = make_current(uri(1), instead_of)
    assert datetime.now(UTC) - datetime.fromisoformat(left.pop("at")) < timedelta(minutes=1)
    assert left == {
        "manifest_uri": uri(1), "version": 1, "before": 3, "dag_id": "d", "partition": "2013-02-08",
        "variant": "control", "published_by": "r1",
    }  # fmt: skip
    assert current(store) == 1
    assert store.versions() == [1, 2, 3]
    assert make_current(uri(3), 1)["before"] == 1  # and forward again
    assert current(store) == 3


def test_repeating_it_changes_nothing(store: ManifestStore) -> None:
    make_current(uri(2), 3)
    assert make_current(uri(2), 3)["before"] == 2
    assert current(store) == 2


REFUSED = [
    (uri(1), "2", "version: .* is at version 3, not at 2: another publish came first; look at it"),
    (uri(7), "", "version: .* has no version 7; it has 1, 2, 3."),
    (f"{PREFIX}-other/manifest/v=0001.json", "", "s3://.*-other: nothing has been published there"),
    (f"{PREFIX}/manifest/current.json", "", "manifest_uri: .* is no version of a manifest; give s3://"),
    ("", "", "manifest_uri: '' is no version of a manifest"),
    (uri(1), "latest", "instead_of: 'latest' is no version; give the number of the current one, or nothing."),
    (uri(1), "-3", "instead_of: '-3' is no version"),
]


@pytest.mark.parametrize(("manifest", "instead_of", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_at_once_in_one_sentence(
    store: ManifestStore, manifest: str, instead_of: str, sentence: str
) -> None:
    with pytest.raises(AirflowFailException, match=f"^{sentence}"):
        make_current(manifest, instead_of)
    assert current(store) == 3


def test_a_version_of_another_dag_than_the_one_that_was_looked_at_stays_as_it_is(store: ManifestStore) -> None:
    with pytest.raises(AirflowFailException, match=r"^manifest_uri: s3://.* was published by DAG 'd', not by 'mine'; "):
        make_current(uri(1), of_dag="mine")
    assert current(store) == 3
    assert make_current(uri(1), of_dag="d")["version"] == 1


def test_a_publish_that_comes_in_between_wins(store: ManifestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    version = ManifestStore.version

    def publish_first(self: ManifestStore, number: int) -> dict[str, Any]:
        store.publish({"UA": {"rows": 1, "files": [], "result_uri": "s3://bucket/4"}}, {"run_id": "r4"})
        return version(self, number)

    monkeypatch.setattr(ManifestStore, "version", publish_first)
    with pytest.raises(AirflowFailException, match="another publish came first"):
        make_current(uri(1))
    assert current(store) == 4


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (uri(12), (PREFIX, 12)),
        ("s3://b/a/manifest/v=1/manifest/v=0002.json", ("s3://b/a/manifest/v=1", 2)),
        ("s3://b/é x/manifest/v=12345.json", ("s3://b/é x", 12345)),
    ],
)
def test_a_versions_uri_is_its_prefix_and_its_number(given: str, found: tuple[str, int]) -> None:
    assert version_of(given) == found


@pytest.mark.parametrize(
    "given", ["s3://b/manifest/v=.json", "https://b/p/manifest/v=1.json", "s3://b/p/v=1.json", f"{uri(1)}\n"]
)
def test_what_is_no_versions_uri_is_refused(given: str) -> None:
    with pytest.raises(PublishError, match="is no version of a manifest"):
        version_of(given)


def test_the_dag_takes_both_from_the_form_and_refuses_what_is_no_version(store: ManifestStore) -> None:
    dag = runpy.run_path(str(FILE))["dag"]
    assert (dag.dag_id, dag.schedule, dag.is_paused_upon_creation) == ("ecs_feature_rollback", None, False)
    for given, rendered in ((None, ""), (3, "3")):
        (task,) = runpy.run_path(str(FILE))["dag"].tasks
        task.render_template_fields({"params": {"manifest_uri": uri(2), "instead_of": given, "of_dag": given}})
        assert (task.manifest_uri, task.instead_of, task.of_dag) == (uri(2), rendered, rendered)
    dag.params["manifest_uri"] = uri(2)
    assert dag.params.validate() == {"manifest_uri": uri(2), "instead_of": None, "of_dag": None}
    for wrong in ("s3://bucket/features", f"{PREFIX}/manifest/current.json", ""):
        with pytest.raises(ParamValidationError):
            dag.params["manifest_uri"] = wrong
