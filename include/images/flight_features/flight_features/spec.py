"""The feature specification that the job shares with the encoder: `features.json` on the shared file
system."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flight_features.errors import JobError

FILE_NAME = "features.json"
ENCODABLE_COLUMNS = ("carrier", "origin", "dest", "hour", "minute", "flight", "distance")
"""Schedule columns that an encoder may be given: nothing that is known only after departure."""


@dataclass(frozen=True)
class FeatureSpec:
    """What the features mean: the days of history, what counts as delayed, and which columns are encoded."""

    version: str
    window_days: int
    delay_threshold_minutes: int
    encoded_columns: tuple[str, ...]


def load(models_dir: Path) -> FeatureSpec:
    """:raises JobError: the file is missing (is the file system mounted?) or not as it should be."""
    path = models_dir / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(
            f"feature specification {path} cannot be read ({error.strerror}): "
            "mount the shared-models file system at MODELS_DIR."
        ) from None
    except ValueError as error:
        raise JobError(f"feature specification {path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise JobError(f"feature specification {path} is not a JSON object.")
    return FeatureSpec(
        version=str(_field(content, path, "version", str)),
        window_days=_whole(content, path, "window_days", 1, 31),
        delay_threshold_minutes=_whole(content, path, "delay_threshold_minutes", 0, 1440),
        encoded_columns=_columns(content, path),
    )


def _field(content: dict[str, Any], path: Path, name: str, kind: type) -> Any:
    value = content.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise JobError(f"feature specification {path} has {name} = {value!r}: it must be a JSON {kind.__name__}.")
    return value


def _whole(content: dict[str, Any], path: Path, name: str, least: int, most: int) -> int:
    value: int = _field(content, path, name, int)
    if not least <= value <= most:
        raise JobError(f"feature specification {path} has {name} = {value}: it must be {least} to {most}.")
    return value


def _columns(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    columns = _field(content, path, "encoded_columns", list)
    wrong = [column for column in columns if column not in ENCODABLE_COLUMNS]
    if wrong or not columns:
        raise JobError(
            f"feature specification {path} has encoded_columns = {columns!r}: "
            f"choose one or more of {', '.join(ENCODABLE_COLUMNS)}."
        )
    return tuple(columns)
