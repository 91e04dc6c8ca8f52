"""The job contract's environment, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rt_state.errors import ContractError

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


@dataclass(frozen=True)
class Job:
    """One shard's work order.

    :param state: two letters, e.g. NY.
    :param day: the last day that is known.
    """

    state: str
    day: date
    run_id: str
    attempt: int
    input_uri: str
    output_uri: str
    result_uri: str
    models_dir: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Job:
        """:raises ContractError: a variable is missing or malformed; the sentence names it, its value and the form."""
        return cls(
            state=_matching(environ, "SHARD", r"[A-Z]{2}", "a state such as NY"),
            day=_date(environ, "LOGICAL_DATE"),
            run_id=_required(environ, "RUN_ID"),
            attempt=int(_matching(environ, "ATTEMPT", r"[1-9][0-9]{0,5}", "a whole number from 1")),
            input_uri=_matching(environ, "INPUT_URI", rf"s3://{_BUCKET}/(.+/)?", "an S3 prefix, s3://bucket/raw/"),
            output_uri=_matching(environ, "OUTPUT_URI", rf"s3://{_BUCKET}/.+\.csv", "an S3 object, s3://….csv"),
            result_uri=_matching(environ, "RESULT_URI", rf"s3://{_BUCKET}/.+\.json", "an S3 object, s3://….json"),
            models_dir=Path(_required(environ, "MODELS_DIR")),
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
