"""The destinations of a day, from the raw data that ingest has put to S3."""

from __future__ import annotations


def destinations_of_day(
    day: str, input_uri: str, aws_conn_id: str | None = "aws_default", region_name: str | None = None
) -> list[str]:
    """The airports that the day's flights go to, sorted.

    :param day: `YYYY-MM-DD`.
    :param input_uri: S3 prefix of the raw data, `s3://bucket/raw/`.
    """
    import io

    import polars as pl
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    bucket, prefix = input_uri.removeprefix("s3://").split("/", 1)
    client = S3Hook(aws_conn_id=aws_conn_id, region_name=region_name).get_conn()
    body = client.get_object(Bucket=bucket, Key=f"{prefix}ds={day}/flights.parquet")["Body"].read()
    found: list[str] = pl.read_parquet(io.BytesIO(body), columns=["dest"])["dest"].unique().sort().to_list()
    return found
