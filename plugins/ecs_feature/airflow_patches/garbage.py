"""Full rounds of Python's garbage collection, in which a triggerer's shards all stand still."""

from __future__ import annotations

import gc
from typing import Final

FULL_ROUND: Final = 100
"""A full round comes after so many of the middle generation, if much is new; Python has 10."""


def collect_seldom() -> None:
    """Spare this process full rounds of garbage collection.

    What is imported is taken out of the rounds, as Airflow's DAG processor does: modules and classes are 280,000
    objects that nobody lets go of. And a full round comes a tenth as often: with hundreds of shards the scheduler and
    the triggerer load and drop so many objects that 22 and 21 of them took 8 s of CPU in a run of 1,000, now 2. Young
    objects are collected as before. What is let go of is freed all the same, unless it is in a cycle that has lived
    for long.
    """
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], FULL_ROUND)
