"""The job: read, encode, compute, write, in that order; the result is written last."""

from __future__ import annotations

import hashlib
import io
import json
import time
from datetime import timedelta

import polars as pl

from flight_features import features, log, schema, spec
from flight_features.encoder_client import EncoderClient
from flight_features.environment import Job
from flight_features.errors import JobError
from flight_features.storage import Storage


def run(job: Job, started: float) -> None:
    """Does one shard's work. When it returns, OUTPUT_URI and RESULT_URI are there.

    :param started: `time.monotonic()` at the start of the process.
    :raises JobError: anything that keeps the result from being whole.
    """
    log.event(
        "start",
        shard=job.shard,
        logical_date=job.logical_date,
        variant=job.variant,
        attempt=job.attempt,
        run=job.run_id,
    )
    feature_spec = spec.load(job.models_dir)
    storage = Storage()
    flights, history, weather = _read(job, storage, feature_spec.window_days)
    planned = features.schedule(flights)
    mine = features.of_shard(job.shard_column, job.shard)
    encodings = _encode(job, features.encoder_rows(planned, mine, feature_spec.encoded_columns))
    table = features.build(
        planned, history, weather, encodings, mine=mine, day=job.logical_date, spec=feature_spec
    ).with_columns(features.labels(flights, mine).alias(schema.LABEL))
    log.event("computed", rows=table.height, columns=table.width, feature_version=feature_spec.version)
    _write(job, storage, table, feature_spec.version)
    log.event("done", rows=table.height, seconds=time.monotonic() - started, cpu_seconds=time.process_time())


def _read(job: Job, storage: Storage, window_days: int) -> tuple[pl.DataFrame, list[pl.DataFrame], pl.DataFrame]:
    started = time.monotonic()
    flights = _table(storage, f"{job.input_uri}ds={job.logical_date}/flights.parquet", features.FLIGHT_COLUMNS)
    weather = _table(storage, f"{job.input_uri}ds={job.logical_date}/weather.parquet", features.WEATHER_COLUMNS)
    if flights is None or weather is None:
        raise JobError(
            f"{job.input_uri}ds={job.logical_date}/ has no flights.parquet or no weather.parquet: "
            "run ingest for that day."
        )
    history = _history(job, storage, window_days)
    log.event(
        "read",
        flights=flights.height,
        shard_flights=flights.filter(features.of_shard(job.shard_column, job.shard)).height,
        weather=weather.height,
        history_days=len(history),
        history_flights=sum(each.height for each in history),
        seconds=time.monotonic() - started,
    )
    return flights, history, weather


def _history(job: Job, storage: Storage, window_days: int) -> list[pl.DataFrame]:
    """The days of the window, latest first. They may end where the source begins, but a gap is a failed
    ingest."""
    history: list[pl.DataFrame] = []
    missing = None
    for back in range(1, window_days + 1):
        uri = f"{job.input_uri}ds={job.logical_date - timedelta(days=back)}/flights.parquet"
        table = _table(storage, uri, features.OUTCOME_COLUMNS)
        if table is None:
            missing = missing or uri
        elif missing:
            raise JobError(f"{missing} is missing though earlier days are there: run ingest again.")
        else:
            history.append(table)
    return history


def _table(storage: Storage, uri: str, columns: tuple[str, ...]) -> pl.DataFrame | None:
    content = storage.read(uri)
    if content is None:
        return None
    try:
        return pl.read_parquet(io.BytesIO(content), columns=list(columns))
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise JobError(f"{uri} is no Parquet file with the columns {', '.join(columns)}: {reason}.") from None


def _encode(job: Job, rows: list[dict[str, str | int]]) -> list[list[float]]:
    client = EncoderClient(job.encoder_url, job.encoder_token, job.variant, job.encoder_patience_seconds)
    return client.encode(rows, on_batch=lambda done: log.event("encoded", rows=f"{done}/{len(rows)}"))


def _write(job: Job, storage: Storage, table: pl.DataFrame, version: str) -> None:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", metadata=schema.metadata(job.variant, version))
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    storage.write(job.output_uri, content, "application/vnd.apache.parquet")
    log.event("written", uri=job.output_uri, bytes=len(content), sha256=digest)
    file = {"uri": job.output_uri, "bytes": len(content), "rows": table.height, "sha256": digest}
    result = {"shard": job.shard, "rows": table.height, "files": [file]}
    storage.write(job.result_uri, json.dumps(result).encode(), "application/json")
    log.event("written", uri=job.result_uri)
