"""The job contract's environment, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from flight_features.errors import ContractError

DEFAULT_ENCODER_PATIENCE_SECONDS = 120.0
"""How long an encoder may be unreachable before the job gives up: a load balancer is without targets while a
service is replaced, and a target needs two health checks of ten seconds to be called healthy."""

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


@dataclass(frozen=True)
class Job:
    """One shard's work order."""

    shard: str
    shard_column: str
    logical_date: date
    variant: str
    run_id: str
    attempt: int
    input_uri: str
    output_uri: str
    result_uri: str
    models_dir: Path
    encoder_url: str
    encoder_token: str = field(repr=False)
    encoder_patience_seconds: float

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Job:
        """:raises ContractError: a variable is missing or malformed; the sentence names it, its value and the
        form."""
        return cls(
            shard=_matching(environ, "SHARD", r"[A-Z0-9]{2,3}", "a carrier such as UA, or a destination such as LAX"),
            shard_column=_matching(
                {"SHARD_COLUMN": "carrier", **environ}, "SHARD_COLUMN", r"carrier|dest", "carrier or dest"
            ),
            logical_date=_date(environ, "LOGICAL_DATE"),
            variant=_matching(environ, "VARIANT", r"[A-Za-z0-9_-]+", "a name such as control"),
            run_id=_required(environ, "RUN_ID"),
            attempt=int(_matching(environ, "ATTEMPT", r"[1-9][0-9]{0,5}", "a whole number from 1")),
            input_uri=_matching(environ, "INPUT_URI", rf"s3://{_BUCKET}/(.+/)?", "an S3 prefix, s3://bucket/raw/"),
            output_uri=_matching(environ, "OUTPUT_URI", rf"s3://{_BUCKET}/.+\.parquet", "an S3 object, s3://….parquet"),
            result_uri=_matching(environ, "RESULT_URI", rf"s3://{_BUCKET}/.+\.json", "an S3 object, s3://….json"),
            models_dir=Path(_required(environ, "MODELS_DIR")),
            encoder_url=_http_url(environ, "ENCODER_URL"),
            encoder_token=_secret(environ, "ENCODER_TOKEN"),
            encoder_patience_seconds=_seconds(environ, "ENCODER_PATIENCE_SECONDS", DEFAULT_ENCODER_PATIENCE_SECONDS),
        )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value.strip():
        raise ContractError(f"environment variable {name} is missing or empty: the job contract requires it.")
    return value


def _matching(environ: Mapping[str, str], name: str, pattern: str, form: str) -> str:
    value = _required(environ, name)
    if not re.fullmatch(pattern, value):
        raise ContractError(f"environment variable {name} is {value!r}: it must be {form}.")
    return value


def _date(environ: Mapping[str, str], name: str) -> date:
    value = _matching(environ, name, r"\d{4}-\d{2}-\d{2}", "a date, YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ContractError(f"environment variable {name} is {value!r}: there is no such day.") from None


def _http_url(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name).rstrip("/")
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ContractError(f"environment variable {name} is {value!r}: it must be a URL, http://host:port.")
    return value


def _secret(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name)
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ContractError(f"environment variable {name} must be printable ASCII without spaces.")
    return value


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    if name not in environ:
        return default
    return float(_matching(environ, name, r"\d{1,4}(\.\d{1,3})?", "seconds, such as 120"))
