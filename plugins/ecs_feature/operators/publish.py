"""Publishes a variant's day when it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from ecs_feature.aws.clients import client_of
from ecs_feature.aws.errors import translated
from ecs_feature.exceptions import EcsFeatureError, PublishError
from ecs_feature.results.manifests import Expected, ManifestStore, split_uri
from ecs_feature.shards.records import shard_records
from ecs_feature.shards.selection import ALL_FOUND, of_this_run
from ecs_feature.tasks.outcomes import Kind

READERS = 16
"""Result files that are read at once."""


class FeaturePublishOperator(BaseOperator):  # type: ignore[misc]
    """Checks the result file of every shard that ran, and publishes a new manifest with an atomic swap.

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
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shard_task_ids = list(shard_task_ids)
        self.prefix = prefix
        self.about = dict(about)
        self.shards = list(shards)
        self.found_by = found_by
        self.aws: dict[str, Any] = {"aws_conn_id": aws_conn_id, "region_name": region_name, "verify": verify}

    def execute(self, context: Any) -> dict[str, Any]:
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=self.found_by) if self.found_by else None
        left = of_this_run(shard_records(ti.xcom_pull(task_ids=self.shard_task_ids)), context["params"], found)
        # One whose exit code skipped it has a record and no result: what it had published stays.
        records = [record for record in left if record["outcome"] == Kind.SUCCEEDED]
        skipped = [record["shard"] for record in left if record["outcome"] == Kind.SKIPPED]
        all_found = ti.xcom_pull(task_ids=self.found_by, key=ALL_FOUND) if self.found_by else None
        known: Sequence[str] = all_found or found or self.shards
        s3 = client_of("s3", self.aws)
        try:
            if not records:
                raise PublishError("No shard of this run has left a record; clear the shards to run them again.")
            with translated(self.prefix):
                shards = read_results(s3, records)
                run = {**self.about, "published_at": datetime.now(UTC).isoformat(timespec="seconds")}
                published = ManifestStore(s3, self.prefix).publish(shards, run, Expected(known, skipped))
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        manifest = published.manifest
        summary = {
            "manifest_uri": published.uri,
            **{field: manifest[field] for field in ("version", "rows", "files", "bytes")},
        }
        self.log.info("Published %s: %d shards, %d rows.", published.uri, len(manifest["shards"]), manifest["rows"])
        if missing := manifest["missing"]:
            self.log.warning(
                "%d of %d shards have never been published for this day: %s. A run of them adds them.",
                len(missing),
                len(known),
                ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else ""),
            )
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {**summary, "missing": len(missing)}
        return {**summary, "shards": sorted(shards), "missing": missing}


def read_results(s3: Any, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """:func:`read_result` of every shard, by its name, some at a time: two requests to S3 each.

    :raises PublishError: of the first shard that is not whole.
    """
    with ThreadPoolExecutor(max_workers=READERS) as readers:
        reading = [readers.submit(read_result, s3, record) for record in records]
        try:
            return {record["shard"]: read.result() for record, read in zip(records, reading, strict=True)}
        except BaseException:
            readers.shutdown(wait=False, cancel_futures=True)
            raise


def read_result(s3: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """A shard's result file, checked: it is there, it is of this shard, and its files are there in their size.

    :param record: the shard's XCom, with ``shard`` and ``result_uri``.
    :raises PublishError: one sentence that names the shard and the file.
    """
    shard, uri = record["shard"], record["result_uri"]
    content = _get(s3, uri, shard)
    try:
        result = json.loads(content)
        files = [{key: file[key] for key in ("uri", "bytes", "rows", "sha256")} for file in result["files"]]
        rows, name = result["rows"], result["shard"]
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(f"Shard {shard}: its result file {uri} breaks the job contract ({error!r}).") from error
    if name != shard or rows != sum(file["rows"] for file in files):
        raise PublishError(
            f"Shard {shard}: its result file {uri} is of shard {name} with {rows} rows; clear the shard."
        )
    for file in files:
        size = _size(s3, file["uri"], shard)
        if size != file["bytes"]:
            raise PublishError(f"Shard {shard}: {file['uri']} has {size} bytes, not {file['bytes']}; clear the shard.")
    return {"rows": rows, "files": files, "result_uri": uri}


def _get(s3: Any, uri: str, shard: str) -> bytes:
    bucket, key = split_uri(uri)
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise PublishError(f"Shard {shard}: exited with 0 but left no result file {uri}; fix the job.") from None
    return body


def _size(s3: Any, uri: str, shard: str) -> int:
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    try:
        size: int = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
            raise PublishError(f"Shard {shard}: its file {uri} is not there; clear the shard.") from None
        raise
    return size
