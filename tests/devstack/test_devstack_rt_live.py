"""The options of make rt-live, and what it sees and shows of a run."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from devstack import cli
from devstack.errors import RunFailedError, UsageError
from devstack.rt_live import FIRST_DAY, LAST_DAY, STATES, Options, check, head, parse


@pytest.mark.parametrize("day", ["2020-01-22", "2020-06-15", "2020-07-03"])
def test_a_day_of_the_source_is_accepted(day: str) -> None:
    assert parse(day, "fargate", "") == Options(date.fromisoformat(day), "fargate")


@pytest.mark.parametrize("day", ["2020-01-21", "2020-07-04", "2013-01-01", "20200615", "2020-06-31", "2020-W24-1", ""])
def test_another_day_is_refused_in_one_sentence(day: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(day, "fargate", "")
    assert str(refused.value) == (
        f"DATE is {day!r}, but must be a day from 2020-01-22 to 2020-07-03, which is all that the source has, "
        "like DATE=2020-06-15."
    )


@pytest.mark.parametrize(
    ("dispatch", "workers", "sentence"),
    [
        ("batch", "", "DISPATCH is 'batch', but must be fargate or workers."),
        ("workers", "0", "WORKERS is '0', but must be a number from 1 to 51, the number of states."),
        ("workers", "52", "WORKERS is '52', but must be a number from 1 to 51, the number of states."),
        ("workers", "ten", "WORKERS is 'ten', but must be a number from 1 to 51, the number of states."),
        ("fargate", "25", "WORKERS is '25', but DISPATCH=fargate has no workers: leave it out."),
    ],
)
def test_a_wrong_dispatch_is_refused_in_one_sentence(
    dispatch: str, workers: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("DISPATCH", dispatch), ("WORKERS", workers)):
        monkeypatch.setenv(name, value)
    assert cli.run(["rt-live"]) == 2
    assert capsys.readouterr().err == f"{sentence}\n"


@pytest.mark.parametrize(("given", "count"), [("", "25"), ("5", "5")])
def test_workers_are_as_many_as_asked_for(given: str, count: str) -> None:
    options = parse("2020-06-15", "workers", given)
    assert options.values() == {"RT_LIVE_DISPATCH": "workers", "RT_LIVE_WORKERS": count}


def test_the_days_and_the_states_are_those_of_the_dag() -> None:
    from rt_live_data import source, states

    assert (source.FIRST_DAY, source.LAST_DAY, len(states.STATES)) == (FIRST_DAY, LAST_DAY, STATES)


def table(*states: str) -> bytes:
    rows = [f"{state},2020-06-15,1.0{n:02d},0.900,1.100,estimated,{n},{n}.5" for n, state in enumerate(states)]
    return "\n".join(["state,date,rt,rt_low,rt_high,status,new_cases,smoothed", *rows, ""]).encode()


def names(count: int) -> list[str]:
    return [f"S{n:02d}" for n in range(count)]


def receipt(succeeded: int) -> dict[str, Any]:
    return {"variants": {"": {"shards": {"succeeded": succeeded}}}}


def test_a_whole_day_is_fine() -> None:
    check(receipt(51), table(*names(51)))


@pytest.mark.parametrize(
    ("succeeded", "states", "sentence"),
    [
        (50, names(51), "50 of 51 states were computed, and the table has 51 of them."),
        (51, names(50), "51 of 51 states were computed, and the table has 50 of them."),
        (51, [*names(50), "S00"], "51 of 51 states were computed, and the table has 50 of them."),
    ],
)
def test_a_day_that_is_not_whole_is_told(succeeded: int, states: list[str], sentence: str) -> None:
    with pytest.raises(RunFailedError) as told:
        check(receipt(succeeded), table(*states))
    assert str(told.value) == sentence


def test_of_a_long_table_both_ends_are_shown_and_of_a_short_one_all() -> None:
    long = head(table(*names(51)))
    assert [line.split()[0] for line in long] == ["state", *names(51)[:10], "...", *names(51)[-10:]]
    assert [line.split()[0] for line in head(table(*names(20)))] == ["state", *names(20)]
    assert head(table("NY"))[1].split() == ["NY", "1.000", "0.900", "1.100", "estimated", "0"]
