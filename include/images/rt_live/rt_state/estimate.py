"""Rt by the Bayesian method of Bettencourt and Ribeiro (2008, doi:10.1371/journal.pone.0002185), as rt.live began.

On a grid of values of Rt, from day to day: the counts k follow a Poisson law whose mean is what the day before leads
one to expect, k(t-1) * exp((Rt - 1) / serial interval); the posterior of one day, widened by Gaussian process noise, is
the prior of the next. The first prior is a Gamma(shape, 1) on the grid. Rt is the most likely value, its interval the
shortest that holds the wanted probability (HDI). Nothing looks forward: no day's estimate depends on a later day.

The counts are smoothed (counts.py) and not rounded, so that states with less than a case a day keep them. What is
special:

- The estimate begins on the first day whose smoothed count reaches `start_cases`. Before it, and in a state that never
  reaches it, there is no estimate; that is an answer, not a failure.
- After a day with 0 cases the model cannot say what to expect, and from a day without a count it learns nothing: such
  a day only widens the interval, as process noise does. States with few cases have wide intervals for that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rt_state.model import Model

NOISE_REACH = 8
"""Standard deviations of the process noise that are looked at: what is further away has a weight below 1e-14."""

FEW_CASES_DAYS = 7


@dataclass(frozen=True)
class Estimates:
    """Rt of the last days of a series; NaN: no estimate.

    :param rt: the most likely value; ``low`` and ``high``: ends of the interval.
    """

    rt: np.ndarray
    low: np.ndarray
    high: np.ndarray


def estimate(counts: np.ndarray, model: Model) -> Estimates:
    """Rt of each day.

    :param counts: smoothed new cases of consecutive days, NaN where not known.
    """
    found = Estimates(*(np.full(len(counts), np.nan) for _ in range(3)))
    start = start_of(counts, model)
    if start is None:
        return found
    grid = np.linspace(0.0, model.rt_max, round(model.rt_max / model.rt_step) + 1)
    widen = _process_noise(len(grid), model.process_noise / (grid[1] - grid[0]))
    growth = (grid - 1.0) / model.serial_interval_days
    prior = grid ** (model.prior_shape - 1.0) * np.exp(-grid)
    posterior = prior / prior.sum()
    for day in range(start, len(counts)):
        if day > start:
            posterior = widen(posterior)
            if counts[day - 1] > 0 and not np.isnan(counts[day]):
                posterior = _updated(posterior, counts[day], np.log(counts[day - 1]) + growth)
        found.rt[day] = grid[posterior.argmax()]
        low, high = shortest_interval(posterior, model.interval)
        found.low[day], found.high[day] = grid[low], grid[high]
    return found


def start_of(counts: np.ndarray, model: Model) -> int | None:
    """The day on which the estimate begins; None: never."""
    reached = np.flatnonzero(np.nan_to_num(counts) >= model.start_cases)
    return int(reached[0]) if len(reached) else None


def few_cases(counts: np.ndarray, model: Model) -> np.ndarray:
    """Whether a day and the six before it have, on average, less than `few_cases_per_day`; days that are not known do
    not count, and seven of them are few."""
    known = ~np.isnan(counts)
    recent = np.ones(FEW_CASES_DAYS)
    sums = np.convolve(np.where(known, counts, 0.0), recent)[: len(counts)]
    days = np.convolve(known.astype(float), recent)[: len(counts)]
    return sums < model.few_cases_per_day * np.maximum(days, 1.0)


def shortest_interval(pmf: np.ndarray, probability: float) -> tuple[int, int]:
    """The first and the last index of the shortest run that holds the probability; of two, the one that holds more."""
    sums = np.concatenate([[0.0], np.cumsum(pmf)])
    wanted = sums[:-1] + probability * sums[-1]
    last = np.searchsorted(sums[1:], wanted * (1.0 - 1e-12))
    lows = np.flatnonzero(last < len(pmf))
    lengths, held = last[lows] - lows, sums[last[lows] + 1] - sums[lows]
    best = np.lexsort((-held, lengths))[0]
    return int(lows[best]), int(last[lows[best]])


def _process_noise(points: int, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    """What widens a posterior: a Gaussian of that many grid points, which loses nothing over the ends of the grid."""
    reach = min(points - 1, max(1, round(NOISE_REACH * deviation)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    held = np.convolve(np.ones(points), kernel)[reach : reach + points]
    return lambda posterior: np.convolve(posterior / held, kernel)[reach : reach + points]


def _updated(prior: np.ndarray, count: float, log_mean: np.ndarray) -> np.ndarray:
    """Bayes' rule with a Poisson likelihood, in logarithms: counts of millions would underflow otherwise."""
    with np.errstate(divide="ignore"):
        log_posterior = np.log(prior) + count * log_mean - np.exp(log_mean)
    posterior = np.exp(log_posterior - log_posterior.max())
    return posterior / posterior.sum()
