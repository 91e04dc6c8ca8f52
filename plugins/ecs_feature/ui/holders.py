"""Who holds a service, ``dag/run/lane``, as its leases were seen: told for the runs that a user may read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ecs_feature.services.leases import CUT, LEASE_PREFIX, holder_prefix


def is_of(seen: str, holder: str) -> bool:
    """Whether a lease that was seen is this holder's.

    :param seen: as the lease's tag has it: of a long one the beginning, and a digest of the whole.
    """
    if seen == holder:
        return True
    begin, cut, digest = seen.rpartition(CUT)
    return bool(cut) and holder.startswith(begin) and holder_prefix(holder) == f"{LEASE_PREFIX}{digest}:"


def is_of_run(seen: str, dag_id: str, run_id: str, lanes: Iterable[str]) -> bool:
    """Whether a lease that was seen is one of this run's.

    :param lanes: names of the DAG's lanes; of a cut lease only these can be told.
    """
    run = f"{dag_id}/{run_id}"
    return seen.startswith(f"{run}/") or any(
        is_of(seen, holder) for holder in (run, *(f"{run}/{lane}" for lane in lanes))
    )


def dags_of(services: Iterable[Mapping[str, Any]]) -> set[str]:
    """The DAGs whose runs hold services, as far as their ids are whole."""
    found = {str(each["holder"]).partition("/")[0] for service in services for each in service["holders"]}
    return {dag_id for dag_id in found if CUT not in dag_id}


def told(
    service: Mapping[str, Any], dag_id: str, run_ids: Sequence[str], lanes: Collection[str], readable: Collection[str]
) -> dict[str, Any]:
    """The service with its holders as a user may see them.

    :param run_ids: known runs of ``dag_id``, the DAG on whose line it stands; ``lanes``: of that DAG. Their holders are
        written out where the tag had no room for them.
    :param readable: the DAGs that the user may read; a holder of another one is None.
    """
    holders = []
    for each in service["holders"]:
        holder = str(each["holder"])
        if CUT in holder:
            known = (f"{dag_id}/{run_id}/{lane}" for run_id in run_ids for lane in lanes)
            holder = next((mine for mine in known if is_of(holder, mine)), holder)
        shown = holder if holder.partition("/")[0] in readable else None
        holders.append({**each, "holder": shown})
    return {**service, "holders": holders}
