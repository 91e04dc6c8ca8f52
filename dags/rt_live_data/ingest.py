"""Puts to S3 what was known on a day."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from rt_live_data import source


def ingest_day(
    day: str, input_uri: str, aws_conn_id: str | None = "aws_default", region_name: str | None = None
) -> dict[str, Any]:
    """Puts `ds=DAY/states_daily.csv`: all rows up to and including the day, never later ones.

    Corrections of a past day are a file that somebody puts to `corrections/ds=DAY.csv` below the same prefix: rows with
    `date`, `state` and `positive` that replace the published ones. They count for that day's run alone, from its next
    ingest on; then the corrected states are computed again (docs/rt-live.md).

    :param day: the run's day, `YYYY-MM-DD`, 2020-01-22 to 2020-07-03.
    :param input_uri: S3 prefix of the raw data, `s3://bucket/raw/covid_tracking/`.
    :param aws_conn_id: Airflow connection; None is boto3's own credential chain.
    :return: `{"day", "rows", "states", "corrected", "bytes", "written"}`; `states`: that have a row of the day itself,
        territories too; `corrected`: the states whose rows were replaced; `written`: false when the object was there
        with this content.
    :raises rt_live_data.source.SourceError: the day is outside the source, or a correction is wrong.
    :raises ValueError: `input_uri` is not an S3 prefix.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    wanted = source.parse_day(day)
    bucket, prefix = _parse_prefix(input_uri)
    client = S3Hook(aws_conn_id=aws_conn_id, region_name=region_name).get_conn()
    changes = _corrections(client, bucket, f"{prefix}corrections/ds={wanted}.csv", wanted)
    rows = source.corrected(source.published(wanted), changes)
    content = source.as_csv(rows)
    return {
        "day": day,
        "rows": len(rows),
        "states": sum(row["date"] == day for row in rows),
        "corrected": sorted({row["state"] for row in changes}),
        "bytes": len(content),
        "written": _put(client, bucket, f"{prefix}ds={wanted}/states_daily.csv", content),
    }


def _parse_prefix(input_uri: str) -> tuple[str, str]:
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/((?:[^/]+/)*)", input_uri)
    if match is None:
        raise ValueError(f"input_uri {input_uri!r} is not an S3 prefix: write it as s3://bucket/raw/ (ends with /).")
    return match[1], match[2]


def _corrections(client: Any, bucket: str, key: str, day: Any) -> list[source.Row]:
    from botocore.exceptions import ClientError

    try:
        content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("404", "NoSuchKey", "NotFound"):
            raise
        return []
    return source.corrections(content, day, f"s3://{bucket}/{key}")


def _put(client: Any, bucket: str, key: str, content: bytes) -> bool:
    """Writes the object unless it is there with this content; returns whether it wrote."""
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
