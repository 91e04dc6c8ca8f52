"""Publishes a variant's partition when it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.errors import translated
from ecs_feature.environment import filled
from ecs_feature.exceptions import EcsFeatureError, PublishError
from ecs_feature.links.shards_tab import shards_url
from ecs_feature.operators.partitioned import PartitionedOperator
from ecs_feature.operators.patience import patiently
from ecs_feature.partitions.grains import SEPARATOR
from ecs_feature.results.completeness import Completeness, ResultKind, some
from ecs_feature.results.manifests import Expected, ManifestStore, Published
from ecs_feature.results.provenance import CODE_VERSION, of_run, with_images
from ecs_feature.results.result_files import list_outputs, read_results
from ecs_feature.shards.records import shard_records
from ecs_feature.shards.selection import ALL_FOUND, names_in, of_this_run, params_of
from ecs_feature.tasks.outcomes import Kind

_ALL = Completeness()


class FeaturePublishOperator(PartitionedOperator):
    """Checks what every shard that ran has left, and publishes a new manifest with an atomic swap.

    Shards that the run left out keep the files of the version before. The task's outlets (assets) get an event with the
    partition as its key; and one without a key when the run has no partition key of its own, because Airflow starts a
    DAG with ``schedule=[Asset(...)]`` for no other. Their extra has the manifest's URI, version and sizes, how many
    shards the run has computed and how many are missing, and the address of its Shards tab.

    XCom: ``{"manifest_uri", "version", "previous", "rows", "files", "bytes", "shards", "missing"}``; rows, files and
    bytes are of the whole manifest, ``previous`` is the version that was current before (None: none), ``shards`` are
    the names that this run computed, ``missing`` those of the pipeline that no run has published for this partition
    yet: a run of chosen shards on one that is not whole leaves some out.

    :param shard_task_ids: the tasks whose XCom names a ``result_uri``; skipped ones have none.
    :param prefix: template of the variant's and partition's prefix, ``s3://bucket/...`` without a slash at the end.
    :param shards: the names of all shards of the pipeline, where its file names them.
    :param found_by: the task that has found the run's shards; empty: ``shard_task_ids`` are all there are.
    :param about: templates that go into the manifest; ``partition`` is also the key of the asset's event.
    :param asset_partitions: ``partition``: one event with the partition as its key; ``shard``: one event for each shard
        that this run computed, with the key ``PARTITION|SHARD``.
    :param registered_by: the task that has registered the task definition; empty: not known.
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
        asset_partitions: Literal["partition", "shard"] = "partition",
        registered_by: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.asset_partitions = asset_partitions
        self.registered_by = registered_by
        self.result = result
        self.completeness = completeness
        self.params_prefix = params_prefix
        self.shard_task_ids = list(shard_task_ids)
        self.prefix = filled(prefix, where="prefix")
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
            shards = with_images(patiently(lambda: self._read(records), self.log), records)
            made = self._provenance(ti)
            published = patiently(lambda: self._publish(shards, made, Expected(known, skipped)), self.log)
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
                "%d of %d shards have never been published for this partition: %s. A run of them adds them.",
                len(missing),
                len(known),
                some(missing),
            )
        self._emit(context, {**summary, "shards": len(shards), "missing": len(missing)}, sorted(shards))
        return {**summary, "previous": manifest["previous"], "shards": sorted(shards), "missing": missing}

    def _read(self, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        s3 = self.aws.client("s3")
        with translated(self.prefix):
            return read_results(s3, records) if self.result == "file" else list_outputs(s3, records)

    def _publish(
        self, shards: Mapping[str, Mapping[str, Any]], made: Mapping[str, Any], expected: Expected
    ) -> Published:
        published_at = datetime.now(UTC).isoformat(timespec="seconds")
        run = {**self.about, **made, "result": self.result, "published_at": published_at}
        with translated(self.prefix):
            return ManifestStore(self.aws.client("s3"), self.prefix).publish(shards, run, expected)

    def _provenance(self, ti: Any) -> dict[str, Any]:
        def pulled(**which: Any) -> Any:
            return ti.xcom_pull(task_ids=self.registered_by, **which) if self.registered_by else None

        return of_run(ti, task_definition=pulled(), code_version=pulled(key=CODE_VERSION))

    def _emit(self, context: Any, extra: Mapping[str, Any], shards: Sequence[str]) -> None:
        """Say to the task's outlets what has been published."""
        known = {name: self.about[name] for name in ("partition", "variant") if self.about.get(name)}
        key = known.get("partition")
        each = self.asset_partitions == "shard"
        for outlet in self.outlets:
            event = context["outlet_events"][outlet]
            event.extra = {**extra, **known, "shards_url": shards_url(context["ti"].dag_id, context["ti"].run_id)}
            if key is None:
                continue
            event.add_partitions([f"{key}{SEPARATOR}{name}" for name in shards] if each else [key])
            if getattr(context["dag_run"], "partition_key", None) is None:
                # add_partitions() refuses it; Airflow reads it as an event without a key.
                event.partition_keys.add(None)


def _amount(manifest: Mapping[str, Any], result: ResultKind) -> str:
    return f"{manifest['rows']} rows" if result == "file" else f"{manifest['files']} files"
