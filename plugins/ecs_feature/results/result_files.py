"""The result file, which a shard's container writes last (docs/job-contract.md): read and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ecs_feature.aws.s3 import of_s3, split_uri
from ecs_feature.exceptions import PublishError
from ecs_feature.results.completeness import some

CONTRACT = (
    'What a job must leave is in docs/job-contract.md; for one that leaves no result file, set result="exit_code".'
)
READERS = 16
"""How many result files are read at the same time."""


def read_results(s3: Any, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """:func:`read_result` of every shard, by name, in parallel: two or more requests to S3 each.

    :raises PublishError: when results are not complete; it names all these shards, and says what is wrong with the
        first. It does not pass by itself.
    """
    return _of_all(read_result, s3, records)


def list_outputs(s3: Any, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """:func:`list_output` of every shard, by name, in parallel."""
    return _of_all(list_output, s3, records)


def _of_all(
    read: Callable[[Any, Mapping[str, Any]], dict[str, Any]], s3: Any, records: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    wrong: dict[str, PublishError] = {}
    results: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(max_workers=READERS) as readers:
        reading = [readers.submit(read, s3, record) for record in records]
        try:
            for record, one in zip(records, reading, strict=True):
                try:
                    results[record["shard"]] = one.result()
                except PublishError as error:
                    wrong[record["shard"]] = error
        except BaseException:
            readers.shutdown(wait=False, cancel_futures=True)
            raise
    if wrong:
        first = next(iter(wrong.values()))
        others = f" {len(wrong)} shards have no complete result: {some(wrong)}." if len(wrong) > 1 else ""
        raise PublishError(f"{first}{others} {CONTRACT}", passes=False)
    return results


def read_result(s3: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """A shard's result file, checked: it exists, belongs to this shard, and its files exist with the right size.

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


def list_output(s3: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """What lies at a shard's output prefix, for a job that leaves no result file; rows and checksums are not known.

    :param record: the shard's XCom, with ``shard`` and ``output_uri``.
    """
    bucket, key = split_uri(record["output_uri"])
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    files = [
        {"uri": f"s3://{bucket}/{each['Key']}", "bytes": each["Size"]}
        for page in pages
        for each in page.get("Contents", ())
    ]
    return {"rows": 0, "files": files}


def _get(s3: Any, uri: str, shard: str) -> bytes:
    bucket, key = split_uri(uri)
    try:
        body: bytes = of_s3(s3.get_object(Bucket=bucket, Key=key))["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise PublishError(f"Shard {shard}: exited with 0 but left no result file {uri}; fix the job.") from None
    return body


def _size(s3: Any, uri: str, shard: str) -> int:
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    try:
        size: int = of_s3(s3.head_object(Bucket=bucket, Key=key))["ContentLength"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
            raise PublishError(f"Shard {shard}: its file {uri} is not there; clear the shard.") from None
        raise
    return size
