"""What services were seen to run, and who held them: left in XComs by runs and the janitor, read without AWS. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ecs_feature.aws.resources import EcsService
from ecs_feature.services.leases import leases_of, policy_of

SEEN_BY: Final = ("EcsServiceScaleOperator", "EcsServiceSteadySensor", "EcsJanitorOperator")
"""The operators whose XCom ``return_value`` has what :func:`newest` reads."""
_FIELDS: Final = ("name", "arn", "at", "running", "desired", "baseline", "holders")


def seen(service: EcsService, now: datetime) -> dict[str, Any]:
    """A service as it was read; JSON-safe.

    :returns: ``{"name", "arn", "at", "running", "desired", "baseline", "holders": [{"holder", "count", "since"}]}``;
        ``at`` and ``since`` are ISO 8601 in UTC, ``baseline`` is None for a service that no run has leased. A lease
        past its end is still in it, because its run may go on; whoever finds that it does not removes it.
    """
    policy = policy_of(service.tags)
    holders: dict[str, dict[str, Any]] = {}
    for lease in leases_of(service.tags).values():
        if lease is None:
            continue
        known = holders.get(lease.holder)  # two, after a process died while it renewed
        if known is None or lease.count > known["count"]:
            holders[lease.holder] = {"holder": lease.holder, "count": lease.count, "since": _iso(lease.since)}
    return {
        "name": service.name,
        "arn": service.arn,
        "at": _iso(now),
        "running": service.running,
        "desired": service.desired,
        "baseline": None if policy is None else policy.baseline,
        "holders": sorted(holders.values(), key=lambda holder: (holder["since"], holder["holder"])),
    }


def newest(values: Iterable[Any]) -> list[dict[str, Any]]:
    """The newest that is known of each service, by name.

    :param values: XComs of the operators in :data:`SEEN_BY`, decoded, in any order; others are passed over.
    :returns: rows of :func:`seen`, each with its ``cluster``.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in (row for value in values for row in _rows(value)):
        if row["arn"] not in found or found[row["arn"]]["at"] < row["at"]:
            found[row["arn"]] = {name: row[name] for name in _FIELDS}
    rows = ({**row, "cluster": _cluster(row["arn"])} for row in found.values())
    return sorted(rows, key=lambda row: (row["name"], row["arn"]))


def _rows(value: Any) -> Iterator[Mapping[str, Any]]:
    """What an XCom says of services: a run's ``services``, the janitor's ``seen`` of each cluster."""
    if not isinstance(value, Mapping):
        return
    listed = [value.get("services"), *(_get(cluster, "seen") for cluster in value.get("clusters") or ())]
    for rows in listed:
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, Mapping) and all(name in row for name in _FIELDS):
                yield row


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _cluster(arn: str) -> str:
    """``arn:aws:ecs:region:account:service/cluster/name``; the old form of ARNs has no cluster."""
    parts = arn.rpartition(":")[2].split("/")
    return parts[1] if len(parts) == 3 else ""


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
