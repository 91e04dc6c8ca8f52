"""The garbage collector in the triggerer, whose every pause is one of all shards."""

from __future__ import annotations

import gc
from functools import cache


@cache
def spare_what_is_imported() -> None:
    """Take what exists now out of the collector's full rounds, once a process, as Airflow's DAG processor does.

    Modules, classes and AWS's service models are 300,000 objects that nobody lets go of. Walking them takes 0.3 to
    0.7 s, in which nothing else happens in the triggerer, and with hundreds of shards there are a dozen such rounds
    in each of its two processes. What is let go of later is freed all the same, unless it is in a cycle.
    """
    gc.freeze()
