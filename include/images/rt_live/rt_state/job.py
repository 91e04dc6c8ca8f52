"""The job: read, compute, write, in that order; the result is written last."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time

import numpy as np

from rt_state import counts, estimate, log, model
from rt_state.environment import Job
from rt_state.errors import JobError
from rt_state.model import Model
from rt_state.storage import Storage

HEADER = ("date", "state", "new_cases", "smoothed", "rt", "rt_low", "rt_high", "status")
"""The columns of the output, one row a day. `status` is `estimated`, `few_cases` (estimated from few of them) or
`no_estimate`, where the three before it are empty."""


def run(job: Job, started: float) -> None:
    """Does one shard's work. When it returns, OUTPUT_URI and RESULT_URI are there.

    :param started: `time.monotonic()` at the start of the process.
    :raises JobError: anything that keeps the result from being whole.
    """
    log.event("start", shard=job.state, logical_date=job.day, attempt=job.attempt, run=job.run_id)
    parameters = model.load(job.models_dir)
    storage = Storage()
    uri = f"{job.input_uri}ds={job.day}/states_daily.csv"
    content = storage.read(uri)
    if content is None:
        raise JobError(f"{uri} is missing: run ingest for that day.")
    cumulative = counts.read(content, job.state, job.day, uri)
    log.event("read", days=len(cumulative), last=max(cumulative, default="none"))
    rows = table(job.state, counts.daily(cumulative, job.day), parameters)
    log.event(
        "computed", rows=len(rows), model_version=parameters.version, **dict(zip(HEADER[4:], rows[-1][4:], strict=True))
    )
    _write(job, storage, rows)
    log.event("done", rows=len(rows), seconds=time.monotonic() - started, cpu_seconds=time.process_time())


def table(state: str, series: counts.Counts, parameters: Model) -> list[tuple[str, ...]]:
    """The rows of the output, as texts, so that equal numbers are equal bytes."""
    smooth = counts.smoothed(series.new, parameters.smoothing_days, parameters.smoothing_deviation_days)
    found = estimate.estimate(smooth, parameters)
    few = estimate.few_cases(smooth, parameters)
    return [
        (
            day.isoformat(),
            state,
            _text(series.new[n]),
            _text(smooth[n]),
            *(_text(values[n]) for values in (found.rt, found.low, found.high)),
            "no_estimate" if np.isnan(found.rt[n]) else "few_cases" if few[n] else "estimated",
        )
        for n, day in enumerate(series.days)
    ]


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _write(job: Job, storage: Storage, rows: list[tuple[str, ...]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([HEADER, *rows])
    content = buffer.getvalue().encode()
    digest = hashlib.sha256(content).hexdigest()
    storage.write(job.output_uri, content, "text/csv")
    log.event("written", uri=job.output_uri, bytes=len(content), sha256=digest)
    file = {"uri": job.output_uri, "bytes": len(content), "rows": len(rows), "sha256": digest}
    result = {"shard": job.state, "rows": len(rows), "files": [file]}
    storage.write(job.result_uri, json.dumps(result).encode(), "application/json")
    log.event("written", uri=job.result_uri)
