"""The receipt of a run in a line and in a paragraph. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ecs_feature.results.completeness import some


def headline(receipt: Mapping[str, Any]) -> str:
    """``flights 2013-02-08: failed, 49 of 50 shards in 128 s, $0.0123``."""
    shards = [variant["shards"] for variant in receipt["variants"].values()]
    done, skipped, total = (sum(each[name] for each in shards) for name in ("succeeded", "skipped", "total"))
    counted = f", {done} of {total - skipped} shards" if total - skipped else ""
    return f"{_which(receipt)}: {receipt['state']}{counted} in {receipt['seconds']:.0f} s, {_cost(receipt)}"


def paragraph(receipt: Mapping[str, Any]) -> str:
    """The receipt in some sentences, without markup."""
    said = [f"{headline(receipt)}."]
    for name, variant in receipt["variants"].items():
        shards = variant["shards"]
        words = [f"{shards['failed']} failed"] if shards["failed"] else []
        bad = [launch for launch in variant["launches"] if launch["outcome"] not in ("succeeded", "skipped")]
        words += [f"{count} launch{'es' if count > 1 else ''} ended as {outcome}" for outcome, count in _outcomes(bad)]
        names = sorted({launch["shard"] for launch in bad})
        if names:
            words[-1] += f" (in {some(names)})"
        words.append(_published(variant))
        text = f"{f'{name}: ' if name else ''}{', '.join(words)}."
        said.append(text if name else text[0].upper() + text[1:])
        if variant.get("missing"):
            said.append(f"Never published for this partition: {some(variant['missing'])}.")
    return " ".join(said)


def _which(receipt: Mapping[str, Any]) -> str:
    what = f"{receipt['dag_id']}.{receipt['task_group']}" if receipt.get("task_group") else receipt["dag_id"]
    return f"{what} {receipt.get('partition') or receipt.get('logical_date') or receipt['run_id']}"


def _cost(receipt: Mapping[str, Any]) -> str:
    known = [variant["cost_usd"] for variant in receipt["variants"].values() if variant["cost_usd"] is not None]
    whole = len(known) == len(receipt["variants"]) and not any(
        variant.get("unpriced") for variant in receipt["variants"].values()
    )
    if not known and not whole:
        return "cost not known"
    return f"{'' if whole else 'at least '}${sum(known):.4f}"


def _published(variant: Mapping[str, Any]) -> str:
    if not variant["manifest_uri"]:
        return "nothing published"
    amount = f"{variant['rows']:,} rows in " if variant["rows"] else ""
    return f"published {amount}{variant['files']} files as {variant['manifest_uri']}"


def _outcomes(launches: list[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return sorted(Counter(str(launch["outcome"]) for launch in launches).items())
