"""The environment file: account-specific values by name, and their place in strings, ``${NAME}``.

One flat JSON object of strings, so that the same DAG files and task definitions serve every account::

    {"CLUSTER": "features", "SUBNETS": "subnet-0a,subnet-0b", "BUCKET": "my-features"}

Airflow finds its path in ``[ecs_feature] environment_file`` (``AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from ecs_feature.exceptions import ConfigurationError

PLACEHOLDER = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""``$${NAME}`` is the text ``${NAME}``."""
_SHELL: Final = re.compile(r"\b(command|entryPoint|healthCheck)\b")
"""Where a shell may read its own variables, in what a sentence calls a place."""
CONTRACT_VARIABLES: Final = frozenset(
    {
        "SHARD",
        "LOGICAL_DATE",
        "PARTITION",
        "VARIANT",
        "RUN_ID",
        "ATTEMPT",
        "INPUT_URI",
        "OUTPUT_URI",
        "RESULT_URI",
    }
)
"""The environment variables that every shard's container gets, docs/job-contract.md. In a command they are no
placeholders: a shell in the container reads them, and one value for all shards would be wrong."""


def load_environment(path: str | Path | None = None) -> dict[str, str]:
    """Read the environment file.

    :param path: the file; by default the one that Airflow's configuration names. Without either: no values.
    :raises ConfigurationError: when the file is missing or not a flat JSON object of strings.
    """
    if path is None:
        from airflow.providers.common.compat.sdk import conf

        path = conf.get("ecs_feature", "environment_file", fallback="") or None
        if path is None:
            return {}
    try:
        data = Path(path).read_bytes()
        values = json.loads(data.decode(json.detect_encoding(data)).removeprefix("\ufeff"))
    except OSError as error:
        raise ConfigurationError(
            f"[ecs_feature] environment_file: cannot read {path} ({error.strerror}); name an existing JSON file."
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"[ecs_feature] environment_file: {path} is not JSON ({error}); write one flat object of strings."
        ) from error
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ConfigurationError(
            f"[ecs_feature] environment_file: {path} must be one flat JSON object whose values are strings."
        )
    return values


def substitute(value: Any, values: Mapping[str, str], *, where: str, keep: Collection[str] = ()) -> Any:
    """``value`` with every ``${NAME}`` in its strings replaced, through lists, tuples and dicts.

    :param where: what the value is, for the error: a field or a file.
    :param keep: names that are left as they are, because a shell in the container reads them.
    :raises ConfigurationError: when a placeholder has no value.
    """
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: _replaced(match, values, where, keep), value)
    if isinstance(value, Mapping):
        return {key: substitute(item, values, where=f"{where}.{key}", keep=keep) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(substitute(item, values, where=f"{where}[{i}]", keep=keep) for i, item in enumerate(value))
    return value


def filled(value: Any, *, where: str, keep: Collection[str] = ()) -> Any:
    """``value`` with the environment file's values for its placeholders, when it has any: an operator's argument.

    :param where: the argument's name.
    :param keep: as in :func:`substitute`.
    :raises ConfigurationError: when the file is wrong, or a placeholder has no value.
    """
    return substitute(value, load_environment(), where=where, keep=keep) if PLACEHOLDER.search(repr(value)) else value


def filled_keys(value: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Like :func:`filled`, for a mapping whose keys may have placeholders."""
    return {filled(key, where=where): item for key, item in value.items()}


def _replaced(match: re.Match[str], values: Mapping[str, str], where: str, keep: Collection[str]) -> str:
    if match[1]:
        return match[0][1:]
    return match[0] if match[2] in keep else _lookup(match[2], values, where)


def _lookup(name: str, values: Mapping[str, str], where: str) -> str:
    try:
        return values[name]
    except KeyError:
        hint = f"; or write $${{{name}}} where the container's shell is to read it" if _SHELL.search(where) else ""
        raise ConfigurationError(
            f"{where}: the placeholder ${{{name}}} has no value; add {name} to the environment file "
            f"([ecs_feature] environment_file, docs/pipeline.md){hint}."
        ) from None
