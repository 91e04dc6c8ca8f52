"""Rt against independent implementations, on three states and days of the real data; and the pieces of the method."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import rt_oracle
from conftest import MODELS_DIR
from rt_state import counts, estimate, job, model

from rt_live_data import source

APRIL, JUNE, LAST = date(2020, 4, 15), date(2020, 6, 15), date(2020, 6, 30)
EPYESTIM = {
    ("NY", APRIL): 1.0648,
    ("NY", JUNE): 0.7360,
    ("NY", LAST): 0.8990,
    ("CA", APRIL): 1.0000,
    ("CA", JUNE): 1.0833,
    ("CA", LAST): 1.2793,
    ("FL", APRIL): 1.0328,
    ("FL", JUNE): 1.4482,
    ("FL", LAST): 1.6498,
}
"""Posterior means of epyestim 0.1 (PyPI), which needs pandas, scipy and statsmodels, so that it is not installed here:
estimate_r with a geometric serial interval of 7 days, a window of 7, and the prior Gamma(1, 5)."""
METHODS_DIFFER_BY = 0.25
"""Cori et al. weigh weeks of history, the shards' filter looks at the growth from day to day: where the growth itself
changes, they are that far apart. At 1 they agree."""
PLACES = [pytest.param(state, day, id=f"{state}-{day}") for state, day in EPYESTIM]


@functools.cache
def parameters() -> model.Model:
    return model.load(MODELS_DIR)


@functools.cache
def published(day: date) -> bytes:
    return source.as_csv(source.published(day))


def of_shard(state: str, day: date) -> tuple[float, float, float]:
    """What the shard writes on the last line."""
    series = counts.daily(counts.read(published(day), state, day, "the file"), day)
    return tuple(float(value) for value in job.table(state, series, parameters())[-1][4:7])


AT_THE_END_OF_THE_GRID = pytest.param("MN", JUNE, id="MN, whose interval begins at 0")


@pytest.mark.parametrize(("state", "day"), [*PLACES, AT_THE_END_OF_THE_GRID])
def test_a_second_implementation_of_the_method_gives_the_same_numbers(state: str, day: date) -> None:
    again = rt_oracle.bettencourt_ribeiro(rt_oracle.new_cases(state, day))
    (rt, *ends), (rt_again, *ends_again) = of_shard(state, day), again
    # a step of the oracle's grid; the interval of such a grid may lie one step further on either side
    assert rt == pytest.approx(rt_again, abs=0.021)
    assert ends == pytest.approx(ends_again, abs=0.041)


@pytest.mark.parametrize(("state", "day"), PLACES)
def test_another_method_gives_nearly_the_same_rt(state: str, day: date) -> None:
    other = rt_oracle.cori(rt_oracle.new_cases(state, day))
    assert other == pytest.approx(EPYESTIM[state, day], abs=1e-3)
    rt, low, high = of_shard(state, day)
    assert rt == pytest.approx(other, abs=METHODS_DIFFER_BY)
    assert low < rt < high


@pytest.mark.parametrize("growth", [0.9, 0.97, 1.0, 1.05, 1.15])
def test_steady_growth_has_the_rt_that_the_model_says(growth: float) -> None:
    cases = 5_000 * growth ** np.arange(-20.0, 20.0)
    found = estimate.estimate(cases, parameters())
    # k(t) = k(t-1) * exp((Rt - 1) / 7)
    assert found.rt[-1] == pytest.approx(1 + 7 * np.log(growth), abs=0.03)


def test_more_cases_make_the_interval_narrower_and_more_noise_makes_it_wider() -> None:
    def width(cases: float, **changes: float) -> float:
        found = estimate.estimate(np.full(60, cases), replace(parameters(), **changes))
        return float(found.high[-1] - found.low[-1])

    widths = [width(cases) for cases in (1, 10, 100, 1_000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert width(100, process_noise=0.3) > 1.5 * width(100)
    assert width(100, interval=0.5) < 0.6 * width(100)


@pytest.mark.parametrize(
    ("pmf", "probability", "interval"),
    [
        ([0.1, 0.2, 0.4, 0.2, 0.1], 0.8, (1, 3)),
        ([0.1, 0.2, 0.4, 0.2, 0.1], 0.4, (2, 2)),
        ([0.7, 0.2, 0.1, 0.0, 0.0], 0.9, (0, 1)),
        ([0.0, 0.0, 0.1, 0.2, 0.7], 0.9, (3, 4)),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 0.6, (0, 2)),
        ([0.0, 0.0, 1.0, 0.0, 0.0], 0.9, (2, 2)),
        ([0.3, 0.05, 0.05, 0.35, 0.25], 0.6, (3, 4)),
    ],
)
def test_the_interval_is_the_shortest_that_holds_the_probability(
    pmf: list[float], probability: float, interval: tuple[int, int]
) -> None:
    assert estimate.shortest_interval(np.array(pmf), probability) == interval


def test_no_days_estimate_depends_on_a_later_day() -> None:
    cases = np.array(rt_oracle.new_cases("NY", LAST), dtype=float)
    smooth = functools.partial(counts.smoothed, window_days=7, deviation_days=3.0)
    whole = estimate.estimate(smooth(cases), parameters())
    part = estimate.estimate(smooth(cases[:-30]), parameters())
    for all_days, first_days in zip((whole.rt, whole.low, whole.high), (part.rt, part.low, part.high), strict=True):
        assert np.array_equal(all_days[:-30], first_days, equal_nan=True)


def test_a_shard_of_all_days_takes_a_fraction_of_a_second() -> None:
    import time

    series = counts.daily(counts.read(published(LAST), "WA", LAST, "the file"), LAST)
    started = time.process_time()
    job.table("WA", series, parameters())
    assert time.process_time() - started < 0.5
