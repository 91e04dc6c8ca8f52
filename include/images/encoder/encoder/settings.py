"""The service's environment and the shared specification (`features.json`), checked before it listens."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encoder.hashing import Encoder

DEFAULT_HOST = "0.0.0.0"
DEFAULT_PORT = 8080
MAX_DIMENSIONS = 4096


class SettingsError(Exception):
    """A variable or the specification is missing or malformed; the message is one sentence."""


@dataclass(frozen=True)
class Settings:
    """Where the service listens, whom it serves, and with which encoder."""

    host: str
    port: int
    token: str = field(repr=False)
    encoder: Encoder

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """:raises SettingsError: a variable is missing or malformed, or the specification does not know the
        variant."""
        port = environ.get("PORT") or str(DEFAULT_PORT)
        if not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
            raise SettingsError(f"environment variable PORT is {port!r}: it must be a port, 1 to 65535.")
        variant = _required(environ, "VARIANT")
        return cls(
            host=environ.get("HOST") or DEFAULT_HOST,
            port=int(port),
            token=_required(environ, "ENCODER_TOKEN"),
            encoder=_encoder(Path(_required(environ, "MODELS_DIR")) / "features.json", variant),
        )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value.strip():
        raise SettingsError(f"environment variable {name} is missing or empty: the encoder needs it to start.")
    return value


def _encoder(path: Path, variant: str) -> Encoder:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        variants = content["encoders"]
        columns = tuple(str(each) for each in content["encoded_columns"])
        known = sorted(variants)
    except OSError as error:
        raise SettingsError(
            f"feature specification {path} cannot be read ({error.strerror}): "
            "mount the shared-models file system at MODELS_DIR."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"feature specification {path} lacks encoders or encoded_columns ({error!r}).") from None
    if variant not in variants:
        raise SettingsError(f"environment variable VARIANT is {variant!r}: {path} knows {', '.join(known)}.")
    return _variant(path, variant, columns, variants[variant])


def _variant(path: Path, variant: str, columns: tuple[str, ...], spec: Any) -> Encoder:
    try:
        crosses = tuple((str(first), str(second)) for first, second in spec["crosses"])
        dimensions, normalised = spec["dimensions"], spec["l2_normalised"]
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"feature specification {path} has a malformed encoder {variant!r} ({error!r}).") from None
    if type(dimensions) is not int or not 0 < dimensions <= MAX_DIMENSIONS or type(normalised) is not bool:
        raise SettingsError(
            f"feature specification {path} has encoder {variant!r} with dimensions {dimensions!r} "
            f"and l2_normalised "
            f"{normalised!r}: they must be 1 to {MAX_DIMENSIONS} and true or false."
        )
    if unknown := {column for cross in crosses for column in cross} - set(columns):
        names = ", ".join(sorted(unknown))
        raise SettingsError(f"feature specification {path} crosses {names}, not among encoded_columns.")
    return Encoder(variant, columns, crosses, dimensions, normalised)
