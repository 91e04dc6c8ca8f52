"""After a publish: the table of all states and the picture, beside the manifest that they were made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rt_live_data import picture, table

READERS = 8
"""Files read at a time: 51 small ones one after the other would be seconds of waiting."""


def write(manifest_uri: str, aws_conn_id: str | None = "aws_default", region_name: str | None = None) -> dict[str, str]:
    """Writes `states.csv` and `rt_live.png` into the folder `summary/v=NNNN` beside `manifest/v=NNNN.json`.

    A rerun publishes a new version, so that the table and the picture of the old one stay as they are.

    :param manifest_uri: of one version, as `publish` returns it.
    :return: `{"table": uri, "picture": uri}`.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from ecs_feature.results.reader import read_manifest

    client = S3Hook(aws_conn_id=aws_conn_id, region_name=region_name).get_conn()
    uris = read_manifest(manifest_uri, s3=client).uris()
    with ThreadPoolExecutor(READERS) as threads:
        rows = table.ordered(table.last_row(content) for content in threads.map(lambda uri: _read(client, uri), uris))
    folder, _, name = manifest_uri.rpartition("/manifest/")
    base = f"{folder}/summary/{name.removesuffix('.json')}"
    made = {"table": f"{base}/states.csv", "picture": f"{base}/rt_live.png"}
    _write(client, made["table"], table.as_csv(rows), "text/csv")
    _write(client, made["picture"], picture.draw(rows), "image/png")
    return made


def _read(client: Any, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def _write(client: Any, uri: str, content: bytes, content_type: str) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    client.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)
