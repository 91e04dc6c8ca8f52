"""The receipt in a line and in a paragraph."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.results.summaries import headline, paragraph


def variant(succeeded: int, failed: int = 0, skipped: int = 0, **changed: Any) -> dict[str, Any]:
    return {
        "shards": {
            "total": succeeded + failed + skipped, "succeeded": succeeded, "failed": failed, "skipped": skipped,
        },
        "launches": [], "rows": 842, "files": 16, "manifest_uri": "s3://b/p/manifest/v=0003.json", "missing": [],
        "cost_usd": 0.0061, **changed,
    }  # fmt: skip


def receipt(state: str = "success", **variants: dict[str, Any]) -> dict[str, Any]:
    return {
        "dag_id": "flights", "run_id": "r", "logical_date": "2013-02-08", "partition": "2013-02-08", "state": state,
        "seconds": 128.4, "variants": variants,
    }  # fmt: skip


INTERRUPTED = {"shard": "UA", "outcome": "spot_interruption"}
HEADLINES: list[tuple[dict[str, Any], str]] = [
    (receipt(control=variant(50)), "flights 2013-02-08: success, 50 of 50 shards in 128 s, $0.0061"),
    (
        receipt("failed", control=variant(49, 1), treatment=variant(48, 0, 2)),
        "flights 2013-02-08: failed, 97 of 98 shards in 128 s, $0.0122",
    ),
    (receipt("failed"), "flights 2013-02-08: failed in 128 s, $0.0000"),
    (
        {**receipt(control=variant(1)), "task_group": "features", "partition": None},
        "flights.features 2013-02-08: success, 1 of 1 shards in 128 s, $0.0061",
    ),
    (
        {**receipt(control=variant(1)), "partition": None, "logical_date": None},
        "flights r: success, 1 of 1 shards in 128 s, $0.0061",
    ),
    (
        receipt(control=variant(1, cost_usd=None)),
        "flights 2013-02-08: success, 1 of 1 shards in 128 s, cost not known",
    ),
    (
        receipt(control=variant(1), treatment=variant(1, cost_usd=None)),
        "flights 2013-02-08: success, 2 of 2 shards in 128 s, at least $0.0061",
    ),
    (
        receipt(control=variant(1, unpriced={"FARGATE in mars-1": 2})),
        "flights 2013-02-08: success, 1 of 1 shards in 128 s, at least $0.0061",
    ),
]


@pytest.mark.parametrize(("given", "line"), HEADLINES)
def test_the_headline(given: dict[str, Any], line: str) -> None:
    assert headline(given) == line
    assert paragraph(given).startswith(f"{line}.")


def test_the_paragraph_says_of_each_variant_what_failed_and_what_is_published() -> None:
    launches = [INTERRUPTED, {"shard": "AA", "outcome": "succeeded"}, {"shard": "OO", "outcome": "skipped"}]
    bad = [INTERRUPTED, INTERRUPTED, {"shard": "DL", "outcome": "out_of_memory"}]
    given = receipt(
        "failed",
        control=variant(50, launches=launches, missing=["ZZ", "XX"]),
        treatment=variant(49, 1, launches=bad, manifest_uri=None, rows=0, files=0),
    )
    assert paragraph(given).removeprefix(headline(given)) == (
        ". control: 1 launch ended as spot_interruption (in UA), published 842 rows in 16 files as "
        "s3://b/p/manifest/v=0003.json. Never published for this partition: XX, ZZ. "
        "treatment: 1 failed, 1 launch ended as out_of_memory, 2 launches ended as spot_interruption (in DL, UA), "
        "nothing published."
    )


def test_a_pipeline_without_variants_is_one_sentence_of_its_own() -> None:
    given = receipt(**{"": variant(2, rows=0)})
    assert paragraph(given).removeprefix(headline(given)) == (". Published 16 files as s3://b/p/manifest/v=0003.json.")


def test_thousands_of_failed_shards_are_no_page() -> None:
    launches = [{"shard": f"tenant-{number}", "outcome": "timed_out"} for number in range(5000)]
    assert (
        len(
            paragraph(
                receipt(
                    "failed", control=variant(0, 5000, launches=launches, missing=[each["shard"] for each in launches])
                )
            )
        )
        < 800
    )
