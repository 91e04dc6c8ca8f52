"""The receipt of a run: what it computed, what it used, and what it cost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ecs_feature.aws.limits import DEFAULT_EPHEMERAL_GIB
from ecs_feature.aws.resources import DEFAULT_REGION, MANAGED_INSTANCES, is_of_instances, region_of
from ecs_feature.tasks.cost import Usage
from ecs_feature.tasks.prices import Bill, PriceTable

_FAILED = ("failed", "upstream_failed")
_NAMED = 10
"""How many shards a note lists by name."""


def variant_receipt(
    *,
    states: Mapping[str, str | None],
    records: Iterable[Mapping[str, Any]],
    up: Mapping[str, Any] | None,
    steady: Mapping[str, Any] | None,
    down: Mapping[str, Any] | None,
    published: Mapping[str, Any] | None,
    prices: PriceTable,
) -> dict[str, Any]:
    """One variant's part of the receipt.

    :param states: shard -> the state of its Airflow task.
    :param records: the shards' XComs, with the launches of all tries.
    :param up: XCom of the scale-up; ``steady``: of the steady wait; ``down``: of the scale-down.
    :param published: XCom of the publish.
    :param prices: of the launches and services.
    """
    records = list(records)
    launches = [
        {"shard": record.get("shard", ""), **launch} for record in records for launch in record.get("launches", ())
    ]
    region = next((region_of(row["task_arn"]) for row in launches if row.get("task_arn")), DEFAULT_REGION)
    used, bill = Usage(), Bill(prices)
    costs = []
    for row in (*launches, *(down or {}).get("held", ())):
        used += Usage.from_dict(row)
        costs.append(bill.add(row, region))
    published = published or {}
    return {
        "shards": {
            "total": len(states),
            "succeeded": sum(state == "success" for state in states.values()),
            "failed": sum(state in _FAILED for state in states.values()),
            "skipped": sum(state == "skipped" for state in states.values()),
        },
        "launches": [_launch(launch, usd) for launch, usd in zip(launches, costs, strict=False)],
        "memory": _memory(launches),
        **_ephemeral(launches),
        **_quota(records),
        "services": _services(up, steady, down),
        "rows": published.get("rows", 0),
        "files": published.get("files", 0),
        "bytes": published.get("bytes", 0),
        "manifest_uri": published.get("manifest_uri"),
        "missing": published.get("missing", []),
        "vcpu_seconds": round(used.vcpu_seconds, 3),
        "gb_seconds": round(used.gb_seconds, 3),
        "cost_usd": None if bill.known is None else round(bill.known, 6),
        **({"unpriced": dict(sorted(bill.unknown.items()))} if bill.unknown else {}),
    }


def _quota(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The account's vCPU quota as the run's last shard saw it; empty: none was known."""
    seen = [
        (str(record["launches"][-1].get("stopped_at") or ""), float(record["quota_vcpus"]))
        for record in records
        if record.get("quota_vcpus") and record.get("launches")
    ]
    return {"quota_vcpus": max(seen)[1]} if seen else {}


def _launch(launch: Mapping[str, Any], usd: float | None) -> dict[str, Any]:
    """One launch; ``reason``, and what it had beside Fargate's defaults, only when there is something."""
    row = {
        "shard": launch["shard"],
        "attempt": launch.get("attempt", 1),
        "task_id": str(launch.get("task_arn", "")).rsplit("/", 1)[-1],
        "outcome": launch["outcome"],
        "capacity": launch.get("capacity", ""),
        "cpu": launch.get("cpu", 0),
        "memory_mib": launch.get("memory_mib", 0),
        "cost_usd": None if usd is None else round(usd, 6),
        "created_at": launch.get("created_at"),
        "started_at": launch.get("started_at"),
        "stopped_at": launch.get("stopped_at"),
    }
    more = ("platform", "kind", "instance_type", "ephemeral_gib", "waited", "reason")
    return {**row, **{name: launch[name] for name in more if launch.get(name)}}


def _memory(launches: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The memory to set in the task definition, from shards that ran out of memory; None when none did."""
    starved = [launch for launch in launches if launch["outcome"] == "out_of_memory"]
    if not starved:
        return None
    shards = sorted({launch["shard"] for launch in starved})
    enough = [
        launch["memory_mib"] for launch in launches if launch["outcome"] == "succeeded" and launch["shard"] in shards
    ]
    failed = {launch["shard"] for launch in starved} - {
        launch["shard"] for launch in launches if launch["outcome"] == "succeeded"
    }
    return {
        "shards": shards,
        "too_little_mib": max(launch["memory_mib"] for launch in starved),
        "suggested_mib": max(enough) if enough and not failed else None,
    }


def _ephemeral(launches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ephemeral storage to set, from shards that filled it; empty when none did."""
    full = [launch for launch in launches if launch["outcome"] == "disk_full"]
    if not full:
        return {}
    shards = sorted({launch["shard"] for launch in full})
    done = [launch for launch in launches if launch["outcome"] == "succeeded" and launch["shard"] in shards]
    failed = set(shards) - {launch["shard"] for launch in done}
    suggested = max(map(_gib, done)) if done and not failed else None
    return {
        "ephemeral": {"shards": shards, "too_little_gib": max(map(_gib, full)), "suggested_gib": suggested},
    }


def _gib(launch: Mapping[str, Any]) -> int:
    return int(launch.get("ephemeral_gib") or DEFAULT_EPHEMERAL_GIB)


def _services(*stages: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    up, steady, down = ({row["name"]: row for row in (stage or {}).get("services", ())} for stage in stages)
    held = {row["name"]: row for row in (stages[-1] or {}).get("held", ())}
    return [
        {
            "name": name,
            "before": row["before"],
            "peak": max(row["before"], steady.get(name, {}).get("peak", 0), down.get(name, {}).get("peak", 0)),
            **_after(down.get(name)),
            **({"replaced": replaced} if (replaced := held.get(name, {}).get("replaced")) else {}),
        }
        for name, row in up.items()
    ]


def _after(down: Mapping[str, Any] | None) -> dict[str, int | None]:
    """Tasks still running after the release: ``others`` for other runs' leases, ``after`` the rest."""
    if down is None:
        return {"after": None, "others": None}
    others = down.get("others", 0)
    return {"after": max(0, down["running"] - others), "others": others}


def _service(row: Mapping[str, Any]) -> str:
    others = f" (others hold {row['others']})" if row["others"] else ""
    return f"{row['name']} {row['before']}-{row['peak']}-{row['after']}{others}"


def run_state(states: Iterable[str | None]) -> str:
    """``success`` when every task succeeded or was skipped, else ``failed``."""
    return "success" if all(state in ("success", "skipped") for state in states) else "failed"


def render(receipt: Mapping[str, Any]) -> str:
    """The receipt as a plain text table; a pipeline without variants has one line, ``all``."""
    header = ("variant", "shards", "failed", "skipped", "rows", "files", "MB", "services", "vCPU s", "GB s", "USD")
    rows: list[Sequence[str]] = [header]
    for name, variant in receipt["variants"].items():
        shards = variant["shards"]
        services = ", ".join(_service(service) for service in variant["services"])
        rows.append(
            (
                name or "all",
                f"{shards['succeeded']}/{shards['total']}",
                str(shards["failed"]),
                str(shards["skipped"]),
                f"{variant['rows']:,}",
                str(variant["files"]),
                f"{variant['bytes'] / 1e6:.2f}",
                services or "none",
                f"{variant['vcpu_seconds']:,.0f}",
                f"{variant['gb_seconds']:,.0f}",
                _dollars(variant),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    what = f"{receipt['dag_id']}.{receipt['task_group']}" if receipt.get("task_group") else receipt["dag_id"]
    which = receipt.get("partition") or receipt["logical_date"]
    title = f"{what} {which}: {receipt['state']} in {receipt['seconds']:.0f} s ({receipt['run_id']})"
    artifacts = [f"{name}: {uri}" for name, uri in receipt.get("artifacts", {}).items()]
    return "\n".join([title, *lines, *_notes(receipt), *artifacts])


def _dollars(variant: Mapping[str, Any]) -> str:
    """Its cost; with a plus where a part of it is not known."""
    if variant["cost_usd"] is None:
        return "not known"
    return f"{variant['cost_usd']:.4f}" + (" +" if variant.get("unpriced") else "")


def _notes(receipt: Mapping[str, Any]) -> list[str]:
    """Notes by variant: failed launches, shards that need more memory, and what the cost does not include."""
    notes = []
    for key, variant in receipt["variants"].items():
        name = key or "all"
        bad = [launch for launch in variant["launches"] if launch["outcome"] not in ("succeeded", "skipped")]
        for outcome, count in sorted(Counter(launch["outcome"] for launch in bad).items()):
            shards = sorted({launch["shard"] for launch in bad if launch["outcome"] == outcome})
            notes.append(f"{name}: {count} of {len(variant['launches'])} launches ended as {outcome} ({_some(shards)})")
        of_instances = [
            launch["capacity"]
            for launch in variant["launches"]
            if is_of_instances(launch["capacity"]) and not launch.get("kind", "").startswith(MANAGED_INSTANCES)
        ]
        if of_instances:
            notes.append(
                f"{name}: {len(of_instances)} of {len(variant['launches'])} launches ran on instances "
                f"({', '.join(sorted(set(of_instances)))}), which are paid by themselves and not part of the cost"
            )
        for what, count in variant.get("unpriced", {}).items():
            notes.append(
                f"{name}: the price of {what} is not known (launches, services: {count}), so the cost leaves it out; "
                "[ecs_feature] prices_file can give it (docs/launch-options.md)"
            )
        if missing := variant.get("missing"):
            notes.append(
                f"{name}: {len(missing)} shards have never been published for this partition ({_some(missing)})"
            )
        for service in variant["services"]:
            if replaced := service.get("replaced"):
                reasons = "; ".join(f"{count} x {reason}" for reason, count in replaced.items())
                notes.append(f"{name}: {sum(replaced.values())} tasks of {service['name']} were replaced: {reasons}")
        memory = variant["memory"]
        if memory and memory["suggested_mib"]:
            notes.append(
                f"{name}: {len(memory['shards'])} shards ran out of memory at {memory['too_little_mib']} MiB; "
                f"write {memory['suggested_mib']} MiB into the task definition"
            )
        disk = variant.get("ephemeral")
        if disk and disk["suggested_gib"]:
            notes.append(
                f"{name}: {len(disk['shards'])} shards filled {disk['too_little_gib']} GiB of ephemeral storage; set "
                f"ephemeral_storage_gib to {disk['suggested_gib']}"
            )
    return notes


def _some(shards: Sequence[str]) -> str:
    return ", ".join(shards[:_NAMED]) + (f" and {len(shards) - _NAMED} more" if len(shards) > _NAMED else "")
