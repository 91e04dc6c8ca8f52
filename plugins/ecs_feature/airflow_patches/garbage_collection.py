"""Full collections of Python's garbage collector, during which all shards of a triggerer wait."""

from __future__ import annotations

import gc
from typing import Final

FULL_COLLECTION: Final = 100
"""Collections of the middle generation between two full ones; Python's default is 10."""


def less_frequent_full_gc() -> None:
    """Run a tenth of the full collections, and none over what is imported by now.

    Modules and classes are 280,000 objects that nobody lets go of; Airflow's DAG processor freezes them, too. With
    hundreds of shards the scheduler and the triggerer create and drop so many objects that 22 and 21 full collections
    took 8 s of CPU in a run of 1,000, now 2. Young objects are collected as before. Objects without references are
    freed at once in any case; only those in long-lived reference cycles wait for longer.
    """
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], FULL_COLLECTION)
