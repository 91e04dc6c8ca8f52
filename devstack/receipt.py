"""The receipt of a run, read as somebody does who doubts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def problems(receipt: Mapping[str, Any]) -> list[str]:
    """What is wrong with a receipt: one sentence each, none when the run did all it should."""
    found: list[str] = []
    if receipt.get("state") != "success":
        found.append(f"The receipt's state is {receipt.get('state')!r}, not 'success'.")
    variants = receipt.get("variants")
    if not variants:
        found.append("The receipt names no variant.")
    for name, variant in (variants or {}).items():
        if failed := variant["shards"]["failed"]:
            found.append(f"Variant {name}: {failed} of {variant['shards']['total']} shards failed.")
        for service in variant["services"]:
            if service["after"] != 0:
                at = f"service {service['name']} is at {service['after']}"
                found.append(f"Variant {name}: {at} after the run, not 0.")
    return found
