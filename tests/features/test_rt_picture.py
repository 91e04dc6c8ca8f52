"""The table of all states, and the picture drawn of it."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from conftest import BUCKET, S3

from rt_live_data import picture, summary, table
from rt_live_data.states import STATES
from rt_live_data.table import StateRow

GREEN, RED = (0x1B, 0x8A, 0x5A), (0xD1, 0x49, 0x5B)


def row(state: str, rt: float | None, wide: float = 0.2, status: str = "estimated") -> StateRow:
    ends = (None, None) if rt is None else (max(0.0, rt - wide), rt + wide)
    return StateRow(state, "2020-06-15", rt, *ends, status if rt is not None else "no_estimate", 10.0, 9.5)


def states(**changes: float) -> list[StateRow]:
    """All of them, from 0.5 to 1.5."""
    return table.ordered(
        row(state, changes.get(state, 0.5 + n / 50), status="few_cases" if n % 9 == 0 else "estimated")
        for n, state in enumerate(STATES)
    )


def pixels(png: bytes) -> Any:
    from matplotlib.image import imread

    return (imread(io.BytesIO(png), format="png")[:, :, :3] * 255).round().astype(int)


def has(image: Any, color: tuple[int, int, int]) -> int:
    return int((np.abs(image - np.array(color)).sum(axis=2) < 12).sum())


def test_the_picture_is_1600_by_800_and_shows_both_colors_and_a_lot_of_ink() -> None:
    png = picture.draw(states())
    image = pixels(png)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert image.shape == (800, 1600, 3)
    assert 0.05 < (image.sum(axis=2) < 750).mean() < 0.5
    assert has(image, GREEN) > 1000
    assert has(image, RED) > 1000


def test_a_state_that_rises_above_1_moves_and_changes_color() -> None:
    before, after = pixels(picture.draw(states())), pixels(picture.draw(states(AK=1.6, AL=1.7, AR=1.8)))
    assert (before != after).any(axis=2).mean() > 0.01
    assert has(after, GREEN) < has(before, GREEN)


def test_the_same_rows_are_the_same_bytes() -> None:
    assert picture.draw(states()) == picture.draw(states())


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="none"),
        pytest.param([row(state, None) for state in STATES], id="no estimate at all"),
        pytest.param([row("NY", 1.1)], id="one state"),
        pytest.param([row("NY", 0.0), row("NJ", 12.0, wide=9.0)], id="both ends of the grid"),
        pytest.param([row(state, 6.0, wide=6.0, status="few_cases") for state in STATES], id="few cases everywhere"),
    ],
)
def test_any_table_can_be_drawn(rows: list[StateRow]) -> None:
    image = pixels(picture.draw(rows))
    assert image.shape == (800, 1600, 3)
    assert (image.sum(axis=2) < 750).mean() > 0.005


def test_the_table_begins_with_the_lowest_rt_and_ends_with_states_without_one() -> None:
    rows = table.ordered([row("NY", 1.5), row("AK", None), row("NJ", 0.5), row("AL", None), row("CA", 0.5)])
    assert [each.state for each in rows] == ["CA", "NJ", "NY", "AK", "AL"]
    assert table.as_csv(rows[2:4]).decode().splitlines() == [
        "state,date,rt,rt_low,rt_high,status,new_cases,smoothed",
        "NY,2020-06-15,1.500,1.300,1.700,estimated,10.000,9.500",
        "AK,2020-06-15,,,,no_estimate,10.000,9.500",
    ]


def test_the_last_row_of_a_shards_file_is_its_state_on_the_day() -> None:
    content = (
        b"date,state,new_cases,smoothed,rt,rt_low,rt_high,status\n"
        b"2020-06-14,NY,1.000,1.000,,,,no_estimate\n"
        b"2020-06-15,NY,620.000,730.324,0.000,0.000,1.070,estimated\n"
    )
    found = table.last_row(content)
    assert found == StateRow("NY", "2020-06-15", 0.0, 0.0, 1.07, "estimated", 620.0, 730.324)
    assert found.estimate == (0.0, 0.0, 1.07)


@pytest.mark.usefixtures("aws_environment")
def test_table_and_picture_lie_beside_the_manifest_that_they_were_made_from(s3: S3) -> None:
    day = "rt/summary/ds=2020-06-15"
    shards = {}
    for state, rt in (("NY", "1.200"), ("NJ", "0.800")):
        key = f"{day}/shard={state}/0a.csv"
        body = (
            "date,state,new_cases,smoothed,rt,rt_low,rt_high,status\n"
            f"2020-06-15,{state},5.000,5.000,{rt},0.700,1.300,estimated\n"
        )
        s3.client.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        shards[state] = {"rows": 1, "files": [{"uri": f"s3://{BUCKET}/{key}", "bytes": len(body)}]}
    manifest = f"{day}/manifest/v=0002.json"
    content = {"version": 2, "shards": shards, "missing": []}
    s3.client.put_object(Bucket=BUCKET, Key=manifest, Body=json.dumps(content).encode())
    made = summary.write(f"s3://{BUCKET}/{manifest}", aws_conn_id=None)
    base = f"s3://{BUCKET}/{day}/summary/v=0002"
    assert made == {"table": f"{base}/states.csv", "picture": f"{base}/rt_live.png"}
    assert [line.split(",")[0] for line in s3.read(made["table"]).decode().splitlines()] == ["state", "NJ", "NY"]
    assert pixels(s3.read(made["picture"])).shape == (800, 1600, 3)
