"""Rt a second and a third time, in plain Python: what the shards' numbers are compared with.

`bettencourt_ribeiro` is the shards' method written anew: loops instead of convolutions, probabilities instead of
logarithms. `cori` is another method: Cori et al. 2013 (doi:10.1093/aje/kwt133), as EpiEstim and epyestim have it.
"""

from __future__ import annotations

import csv
import gzip
import math
from datetime import date, timedelta
from itertools import pairwise

from rt_live_data import source


def new_cases(state: str, day: date) -> list[int]:
    """New positives of each day after the state's first; the source has a row for every day of those that are used."""
    with gzip.open(source.FILE, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["state"] == state and row["date"] <= str(day)]
    first = date.fromisoformat(rows[0]["date"])
    assert [row["date"] for row in rows] == [str(first + timedelta(days=n)) for n in range(len(rows))]
    totals = [int(row["positive"]) for row in rows]
    return [max(0, after - before) for before, after in pairwise(totals)]


def weekly(cases: list[int], deviation: float = 3.0) -> list[float]:
    """Each day's Gaussian average of the week that ends with it."""
    found = []
    for last in range(len(cases)):
        week = {back: math.exp(-(((back - 3) / deviation) ** 2) / 2) for back in range(7) if back <= last}
        found.append(sum(cases[last - back] * weight for back, weight in week.items()) / sum(week.values()))
    return found


def bettencourt_ribeiro(
    cases: list[int], *, gamma: float = 1 / 7, noise: float = 0.1, step: float = 0.02, most: float = 12.0
) -> tuple[float, float, float]:
    """Rt of the last day and the ends of its 90 % interval, on a grid of `step`."""
    smooth = weekly(cases)
    grid = [n * step for n in range(round(most / step) + 1)]
    start = next(n for n, value in enumerate(smooth) if value >= 1)
    density = _normalised([x**3 * math.exp(-x) for x in grid])
    near = round(6 * noise / step)
    for before, after in zip(smooth[start:], smooth[start + 1 :], strict=False):
        spread = [0.0] * len(grid)
        for n, weight in enumerate(density):
            if weight < 1e-18:
                continue
            places = range(max(0, n - near), min(len(grid), n + near + 1))
            law = _normalised([math.exp(-(((m - n) * step / noise) ** 2) / 2) for m in places])
            for m, share in zip(places, law, strict=True):
                spread[m] += weight * share
        means = [before * math.exp(gamma * (x - 1)) for x in grid]
        # relative to the likelihood's greatest value, which lies where the mean is the count
        likelihood = [math.exp(after * math.log(mean / after) - mean + after) for mean in means]
        density = _normalised([a * b for a, b in zip(spread, likelihood, strict=True)])
    return (grid[density.index(max(density))], *_shortest(grid, density, 0.9))


def cori(cases: list[int], *, mean_days: float = 7.0, window: int = 7) -> float:
    """The posterior mean of Rt over the last `window` days: a geometric serial interval of `mean_days`, and the prior
    Gamma(1, 5)."""
    stay = 1 - 1 / mean_days

    def pressure(day: int) -> float:
        return sum((1 - stay) * stay ** (back - 1) * cases[day - back] for back in range(1, min(day, 79) + 1))

    days = range(len(cases) - window, len(cases))
    return (1 + sum(cases[day] for day in days)) / (1 / 5 + sum(map(pressure, days)))


def _normalised(values: list[float]) -> list[float]:
    total = sum(values)
    return [value / total for value in values]


def _shortest(grid: list[float], density: list[float], probability: float) -> tuple[float, float]:
    best = (len(grid), 0, 0)
    for low in range(len(grid)):
        held, high = 0.0, low
        while high < len(grid):
            held += density[high]
            if held >= probability or high - low >= best[0]:
                break
            high += 1
        if held >= probability and high - low < best[0]:
            best = (high - low, low, high)
    return grid[best[1]], grid[best[2]]
