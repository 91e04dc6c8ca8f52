"""The model's parameters: `rt_live.json` on the shared file system. Changing the model is changing that file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rt_state.errors import JobError

FILE_NAME = "rt_live.json"


@dataclass(frozen=True)
class Model:
    """What include/efs/README.md says of each field."""

    version: str
    serial_interval_days: float
    rt_max: float
    rt_step: float
    prior_shape: float
    process_noise: float
    smoothing_days: int
    smoothing_deviation_days: float
    start_cases: float
    few_cases_per_day: float
    interval: float


BOUNDS: dict[str, tuple[float, float]] = {
    "serial_interval_days": (1, 30),
    "rt_max": (2, 20),
    "rt_step": (0.005, 0.1),
    "prior_shape": (1, 50),
    "process_noise": (0.01, 2),
    "smoothing_deviation_days": (0.1, 14),
    "start_cases": (0.01, 1e6),
    "few_cases_per_day": (0, 1e6),
    "interval": (0.5, 0.99),
}
"""Least and most of each number. Most grid points are 4,001: a quarter of a second a year."""


def load(models_dir: Path) -> Model:
    """:raises JobError: the file is missing (is the file system mounted?) or not as it should be."""
    path = models_dir / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(
            f"model {path} cannot be read ({error.strerror}): mount the shared-models file system at MODELS_DIR."
        ) from None
    except ValueError as error:
        raise JobError(f"model {path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise JobError(f"model {path} is not a JSON object.")
    return Model(
        version=_version(content, path),
        smoothing_days=_odd(content, path),
        **{name: _number(content.get(name), name, path, *bounds) for name, bounds in BOUNDS.items()},
    )


def _version(content: dict[str, Any], path: Path) -> str:
    value = content.get("version")
    if not isinstance(value, str) or not value:
        raise JobError(f"model {path} has version = {value!r}: it must be a text.")
    return value


def _odd(content: dict[str, Any], path: Path) -> int:
    value = content.get("smoothing_days")
    if type(value) is not int or not 1 <= value <= 29 or value % 2 == 0:
        raise JobError(f"model {path} has smoothing_days = {value!r}: it must be an odd whole number, 1 to 29.")
    return value


def _number(value: Any, name: str, path: Path, least: float, most: float) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise JobError(f"model {path} has {name} = {value!r}: it must be a number from {least:g} to {most:g}.")
    return float(value)
