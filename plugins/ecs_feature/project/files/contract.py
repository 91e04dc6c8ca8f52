"""The job contract in one file: copy it into an image, next to the job. It needs boto3 and nothing of ecs_feature.

    from contract import Contract

    job = Contract.from_environment()
    frame = features_of(job.shard, job.day)
    frame.write_parquet("out.parquet")
    job.finish("out.parquet", rows=len(frame))

Or, for a job that writes to S3 itself:

    job.finish(uris={job.output_uri: len(frame)})
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Contract:
    """What a shard's container is given in its environment; see docs/job-contract.md.

    :param day: the partition's first day, YYYY-MM-DD; empty when the partition is no time.
    :param partition: the key of the partition, for a day the day.
    :param input_uri: empty where the pipeline has none.
    """

    shard: str
    day: str
    output_uri: str
    result_uri: str
    input_uri: str = ""
    variant: str = ""
    attempt: int = 1
    partition: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Contract:
        """:raises SystemExit: with one sentence, when a variable is missing."""
        missing = [name for name in ("SHARD", "LOGICAL_DATE", "OUTPUT_URI", "RESULT_URI") if name not in environ]
        if missing:
            raise SystemExit(f"{', '.join(missing)} not set: this job runs as a shard of a FeaturePipeline.")
        return cls(
            shard=environ["SHARD"],
            day=environ["LOGICAL_DATE"],
            output_uri=environ["OUTPUT_URI"],
            result_uri=environ["RESULT_URI"],
            input_uri=environ.get("INPUT_URI", ""),
            variant=environ.get("VARIANT", ""),
            attempt=int(environ.get("ATTEMPT", "1")),
            partition=environ.get("PARTITION", environ["LOGICAL_DATE"]),
        )

    def finish(
        self, path: str | Path | None = None, *, rows: int = 0, uris: Mapping[str, int] | None = None, s3: Any = None
    ) -> None:
        """Upload the output, then write the result file. Call it last, and exit with 0 after it.

        :param path: a file, which becomes OUTPUT_URI; ``rows``: how many it has.
        :param uris: objects that the job has written itself, with their rows, instead of ``path``; none: a shard
            without rows.
        :param s3: a boto3 client; default: boto3's own configuration.
        """
        if s3 is None:
            import boto3

            s3 = boto3.client("s3")
        written = dict(uris or {})
        if path is not None:
            s3.upload_file(str(path), *_split(self.output_uri))
            written[self.output_uri] = rows
        result = {
            "shard": self.shard,
            "rows": sum(written.values()),
            "files": [{"uri": uri, "rows": count, **_measured(s3, uri)} for uri, count in written.items()],
        }
        bucket, key = _split(self.result_uri)
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(result).encode(), ContentType="application/json")


def _measured(s3: Any, uri: str) -> dict[str, Any]:
    """The size and the checksum of an object, as S3 has it."""
    bucket, key = _split(uri)
    digest, size = hashlib.sha256(), 0
    for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
