"""Copies a day of flights and weather, and the days of history before it, to S3."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any, Final

from flights import source

if TYPE_CHECKING:
    import polars as pl

HISTORY_DAYS: Final = 7
"""Days before the run's day that the features may look at (`window_days` in
include/efs/shared-models/features.json)."""


def ingest_day(
    day: str, input_uri: str, aws_conn_id: str | None = "aws_default", region_name: str | None = None
) -> dict[str, Any]:
    """Puts `raw/ds=D/flights.parquet` and `weather.parquet` for `day` and for the days of history before it.

    Objects that are there with the same content are left alone, and the bytes depend on nothing but the
    source, so runs of neighbouring days may ingest at the same time and in any order.

    :param day: the run's day, `YYYY-MM-DD`, one of 2013.
    :param input_uri: S3 prefix of the raw data, `s3://bucket/raw/`.
    :param aws_conn_id: Airflow connection; None is boto3's own credential chain.
    :return: `{"day", "flights", "weather", "days", "written", "skipped", "bytes"}`: `flights` and `weather`
        are the rows of `day` alone, the others count days and objects of the history too; `bytes` is the size
        of all those objects.
    :raises flights.source.SourceError: the day is outside the source.
    :raises ValueError: `input_uri` is not an S3 prefix.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    wanted = source.parse_day(day)
    bucket, prefix = _parse_prefix(input_uri)
    client = S3Hook(aws_conn_id=aws_conn_id, region_name=region_name).get_conn()
    summary: dict[str, Any] = {"day": day, "days": 0, "written": 0, "skipped": 0, "bytes": 0}
    for tables in source.read_days(source.days_with_history(wanted, HISTORY_DAYS)):
        summary["days"] += 1
        for name, table in (("flights", tables.flights), ("weather", tables.weather)):
            content = _parquet(table)
            written = _put(client, bucket, f"{prefix}ds={tables.day}/{name}.parquet", content)
            summary["written" if written else "skipped"] += 1
            summary["bytes"] += len(content)
            if tables.day == wanted:
                summary[name] = table.height
    return summary


def _parse_prefix(input_uri: str) -> tuple[str, str]:
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/((?:[^/]+/)*)", input_uri)
    if match is None:
        raise ValueError(f"input_uri {input_uri!r} is not an S3 prefix: write it as s3://bucket/raw/ (ends with /).")
    return match[1], match[2]


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _put(client: Any, bucket: str, key: str, content: bytes) -> bool:
    """Writes the object unless it is there with this content; the digest is kept in its metadata, since an
    ETag is no checksum where the bucket encrypts with KMS. Returns whether it wrote."""
    from botocore.exceptions import ClientError

    digest = hashlib.sha256(content).hexdigest()
    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("404", "NoSuchKey", "NotFound"):
            raise
    else:
        if found["ContentLength"] == len(content) and found.get("Metadata", {}).get("sha256") == digest:
            return False
    client.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"sha256": digest})
    return True
