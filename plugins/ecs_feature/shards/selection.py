"""Which shards and variants a run computes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ecs_feature.exceptions import SelectionError

LIVE_LOG_SHARDS = "live_log_shards"
"""The run's param with the shards whose logs are followed while they run."""
DEBUG_SHARDS = "debug_shards"
"""The run's param with the shards that are launched with ECS Exec."""
NAMING_SHARDS = (LIVE_LOG_SHARDS, DEBUG_SHARDS)
"""The params that name shards and do not restrict the run."""
RUN_PARAMS = ("shards", "variants", *NAMING_SHARDS)
"""The params of a run that belong to a pipeline."""
_MIN_ALIKE = 0.75
"""How alike two keys are, by :func:`difflib.get_close_matches`, when one is taken for a slip of the other."""
ALL_FOUND = "all_found"
"""Key of the XCom with the names of all shards found; written when a run computes only some of them."""


@dataclass(frozen=True)
class Selection:
    """The shards and variants that a run computes; never empty."""

    shards: tuple[str, ...]
    variants: tuple[str, ...]


def select(params: Mapping[str, Any], *, shards: Sequence[str], variants: Sequence[str]) -> Selection:
    """Resolve the params ``shards`` and ``variants`` of a run; nothing or an empty list means all.

    ``live_log_shards`` and ``debug_shards`` are checked as well.

    :raises SelectionError: when one names something that the pipeline does not have.
    """
    for field in NAMING_SHARDS:
        _chosen(params, field, shards, "shards")
    return Selection(_chosen(params, "shards", shards), _chosen(params, "variants", variants))


def params_prefix(group_id: str) -> str:
    """What the names of a pipeline's params begin with: nothing, or the id of its task group."""
    return f"{group_id.replace('.', '_')}_" if group_id else ""


def params_of(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The pipeline's own params of a run, by their names without the prefix."""
    return {name: params.get(prefix + name) for name in RUN_PARAMS}


def check_keys(conf: Mapping[str, Any], known: Iterable[str], prefix: str = "") -> None:
    """Refuse a run whose conf has a key that nobody reads: a misspelt ``shards`` would run everything.

    :param conf: what the run was triggered with.
    :param known: the DAG's params.
    :param prefix: of the pipeline's params in a DAG that is not the pipeline's own. Such a DAG may read its conf
        itself, so only what looks like one of these params is refused there.
    :raises SelectionError: for the first such key.
    """
    names = sorted(known)
    for key in conf:
        if key in names:
            continue
        mine = [name for name in names if not prefix or name in {prefix + each for each in RUN_PARAMS}]
        forms = {form: name for name in mine for form in (name.removeprefix(prefix), name)}
        alike = get_close_matches(str(key).lower(), forms, n=1, cutoff=_MIN_ALIKE)
        if alike or not prefix:
            hint = f"did you mean {forms[alike[0]]}?" if alike else f"choose from {', '.join(names)}."
            raise SelectionError(f"conf: {key!r} is not a param of this DAG; {hint}")


def names_in(value: Any, known: Collection[str] = ()) -> list[Any]:
    """The names in a param, without the blanks and empty lines that users type into the trigger form.

    :param known: names that are left as they are, since some begin or end with a blank.
    """
    if value is None:
        return []
    stripped = (name.strip() if isinstance(name, str) and name not in known else name for name in value)
    return [name for name in stripped if name != ""]


def of_this_run(
    records: Iterable[Mapping[str, Any]], params: Mapping[str, Any], found: Sequence[str] | None = None
) -> list[Mapping[str, Any]]:
    """One record for each shard that a run is restricted to.

    A repeated run may compute other shards (``airflow backfill create --reprocess-behavior completed --dag-run-conf
    ...``) or find fewer. Airflow then keeps the old records of shards that are left out, and of map indexes that are
    no longer used; those come last.

    :param records: of mapped shards in the order of their map indexes.
    :param found: the shards that the run found; None: the DAG file names them.
    """
    records = list(records)
    known = {record["shard"] for record in records}
    chosen = frozenset(found if found is not None else names_in(params.get("shards"), known))
    first: dict[str, Mapping[str, Any]] = {}
    for record in records:
        if record["shard"] in chosen or (found is None and not chosen):
            first.setdefault(record["shard"], record)
    return list(first.values())


def _chosen(params: Mapping[str, Any], field: str, known: Sequence[str], what: str = "") -> tuple[str, ...]:
    given = params.get(field) or []
    if isinstance(given, str) or not isinstance(given, list | tuple):
        raise SelectionError(f'{field}: {given!r} is not a list; give a list of names, e.g. ["{known[0]}"].')
    asked = names_in(given, known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        listed = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise SelectionError(
            f"{field}: {', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} not among the "
            f"pipeline's {len(known)} {what or field}; choose from {listed}."
        )
    return tuple(name for name in known if name in asked) if asked else tuple(known)
