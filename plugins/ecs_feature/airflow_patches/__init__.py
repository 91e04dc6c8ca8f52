"""Changes to Airflow's own processes that save CPU and seconds in runs of hundreds of shards; off by default.

``[ecs_feature] patch_airflow = True`` (``AIRFLOW__ECS_FEATURE__PATCH_AIRFLOW``) applies them. Airflow has no settings
for them; docs/upstream/ proposes them to Airflow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Final

import airflow

from ecs_feature.airflow_patches import (
    callbacks,
    deserialized_dags,
    garbage_collection,
    last_events,
    log_reads,
    trigger_loading,
)
from ecs_feature.airflow_patches.patch import Patch

log = logging.getLogger(__name__)

TESTED_VERSIONS: Final = frozenset({"3.3.2"})
"""The versions of Airflow that the test suite ran with; patches are applied to no other."""


def patches(operator: str, trigger: type) -> tuple[Patch, ...]:
    """All patches, in the order in which they are applied.

    :param operator: the class name of the shards' operator.
    :param trigger: the shards' trigger.
    """
    return (
        Patch("less_frequent_full_gc", garbage_collection.less_frequent_full_gc, process=None),
        Patch("larger_log_reads", log_reads.larger_log_reads, log_reads.TARGETS),
        Patch(
            "skip_unused_success_callbacks",
            partial(callbacks.skip_unused_success_callbacks, operator),
            callbacks.TARGETS,
        ),
        Patch(
            "cache_deserialized_dags",
            partial(deserialized_dags.cache_deserialized_dags, operator),
            deserialized_dags.TARGETS,
        ),
        Patch("load_triggers_before_reply", trigger_loading.load_triggers_before_reply, trigger_loading.TARGETS),
        Patch(
            "report_last_event_immediately",
            partial(last_events.report_last_event_immediately, trigger),
            last_events.TARGETS,
        ),
    )


def apply_patches(wanted: Iterable[Patch]) -> None:
    """Apply those that concern this process and were tested with this Airflow; warn of each other one."""
    for patch in wanted:
        if not patch.concerns_this_process():
            continue
        if airflow.__version__ not in TESTED_VERSIONS:
            reason = f"it was tested with Airflow {', '.join(sorted(TESTED_VERSIONS))}, this is {airflow.__version__}"
        elif changed := patch.changed_targets():
            reason = f"the source is not the one it was tested with: {', '.join(changed)}"
        else:
            patch.apply()
            continue
        log.warning("[ecs_feature] patch_airflow: %s is left out, %s.", patch.name, reason)
