"""The result file, which a shard's container writes last (docs/job-contract.md): read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ecs_feature.aws.s3 import split_uri
from ecs_feature.exceptions import PublishError

READERS = 16
"""How many result files are read at the same time."""


def read_results(s3: Any, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """:func:`read_result` of every shard, by name, in parallel: two or more requests to S3 each.

    :raises PublishError: for the first shard whose result is not complete.
    """
    with ThreadPoolExecutor(max_workers=READERS) as readers:
        reading = [readers.submit(read_result, s3, record) for record in records]
        try:
            return {record["shard"]: read.result() for record, read in zip(records, reading, strict=True)}
        except BaseException:
            readers.shutdown(wait=False, cancel_futures=True)
            raise


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
