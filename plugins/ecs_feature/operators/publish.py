"""Publishes a variant's day when it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.errors import translated
from ecs_feature.aws.operator import AwsOperator
from ecs_feature.exceptions import EcsFeatureError, PublishError
from ecs_feature.operators.patience import patiently
from ecs_feature.results.completeness import Completeness, ResultKind, some
from ecs_feature.results.manifests import Expected, ManifestStore, Published
from ecs_feature.results.result_files import list_outputs, read_results
from ecs_feature.shards.records import shard_records
from ecs_feature.shards.selection import ALL_FOUND, names_in, of_this_run, params_of
from ecs_feature.tasks.outcomes import Kind

_ALL = Completeness()


class FeaturePublishOperator(AwsOperator):
    """Checks what every shard that ran has left, and publishes a new manifest with an atomic swap.

    Shards that the run left out keep the files of the version before. The task's outlets (assets) get the
    manifest's URI, version and sizes as the event's extra.

    XCom: ``{"manifest_uri", "version", "rows", "files", "bytes", "shards", "missing"}``; rows, files and bytes are of
    the whole manifest, ``shards`` are the names that this run computed, ``missing`` those of the pipeline that no run
    has published for this day yet: a run of chosen shards on a day without a whole one leaves some out.

    :param shard_task_ids: the tasks whose XCom names a ``result_uri``; skipped ones have none.
    :param prefix: template of the variant's and day's prefix, ``s3://bucket/...`` without a slash at the end.
    :param shards: the names of all shards of the pipeline, where its file names them.
    :param found_by: the task that has found the run's shards; empty: ``shard_task_ids`` are all there are.
    :param about: templates that go into the manifest, e.g. the logical date.
    :param result: ``file``: each shard has left a result file; ``exit_code``: what lies at its ``output_uri`` counts.
    :param completeness: which shards must have succeeded; the trigger rule must let the task start without the others.
    :param params_prefix: what the names of the pipeline's params begin with.
    """

    template_fields: Sequence[str] = ("prefix", "about")
    ui_color = "#e1d5e7"

    def __init__(
        self,
        *,
        shard_task_ids: Sequence[str],
        prefix: str,
        about: Mapping[str, str],
        shards: Sequence[str] = (),
        found_by: str = "",
        result: ResultKind = "file",
        completeness: Completeness = _ALL,
        params_prefix: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.result = result
        self.completeness = completeness
        self.params_prefix = params_prefix
        self.shard_task_ids = list(shard_task_ids)
        self.prefix = prefix
        self.about = dict(about)
        self.shards = list(shards)
        self.found_by = found_by

    def execute(self, context: Any) -> dict[str, Any]:
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=self.found_by) if self.found_by else None
        params = params_of(context["params"], self.params_prefix)
        left = of_this_run(shard_records(ti.xcom_pull(task_ids=self.shard_task_ids)), params, found)
        # One whose exit code skipped it has a record and no result: what it had published stays.
        records = [record for record in left if record["outcome"] == Kind.SUCCEEDED]
        skipped = [record["shard"] for record in left if record["outcome"] == Kind.SKIPPED]
        all_found = ti.xcom_pull(task_ids=self.found_by, key=ALL_FOUND) if self.found_by else None
        known: Sequence[str] = all_found or found or self.shards
        wanted = found or names_in(params["shards"], self.shards) or self.shards
        done = {record["shard"] for record in records} | set(skipped)
        try:
            if not records:
                raise PublishError("No shard of this run has left a record; clear the shards to run them again.")
            self.completeness.check(done, [name for name in wanted if name not in done])
            shards = patiently(lambda: self._read(records), self.log)
            published = patiently(lambda: self._publish(shards, Expected(known, skipped)), self.log)
        except PublishError as error:
            raise (AirflowException if error.passes else AirflowFailException)(str(error)) from error
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        manifest = published.manifest
        summary = {
            "manifest_uri": published.uri,
            **{field: manifest[field] for field in ("version", "rows", "files", "bytes")},
        }
        self.log.info(
            "Published %s: %d shards, %s.", published.uri, len(manifest["shards"]), _amount(manifest, self.result)
        )
        if missing := manifest["missing"]:
            self.log.warning(
                "%d of %d shards have never been published for this day: %s. A run of them adds them.",
                len(missing),
                len(known),
                some(missing),
            )
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {**summary, "missing": len(missing)}
        return {**summary, "shards": sorted(shards), "missing": missing}

    def _read(self, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        s3 = self.aws.client("s3")
        with translated(self.prefix):
            return read_results(s3, records) if self.result == "file" else list_outputs(s3, records)

    def _publish(self, shards: Mapping[str, Mapping[str, Any]], expected: Expected) -> Published:
        published_at = datetime.now(UTC).isoformat(timespec="seconds")
        run = {**self.about, "result": self.result, "published_at": published_at}
        with translated(self.prefix):
            return ManifestStore(self.aws.client("s3"), self.prefix).publish(shards, run, expected)


def _amount(manifest: Mapping[str, Any], result: ResultKind) -> str:
    return f"{manifest['rows']} rows" if result == "file" else f"{manifest['files']} files"
