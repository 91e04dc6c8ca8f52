"""What the plugin changes in Airflow's own processes, because a run of a thousand shards pays for it a thousand times.

``[ecs_feature] tune_airflow = False`` (``AIRFLOW__ECS_FEATURE__TUNE_AIRFLOW``) leaves Airflow as it is.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import airflow

from ecs_feature.airflow_patches.callbacks import leave_out_success_callbacks
from ecs_feature.airflow_patches.dags import make_dags_once
from ecs_feature.airflow_patches.garbage import collect_seldom
from ecs_feature.airflow_patches.rounds import look_before_answering, read_much_at_once, tell_of_the_last_at_once

KNOWN: Final = "3.3."
"""How the versions of Airflow begin whose functions these are; others get only what cannot do harm."""


@cache
def tune(operator: str, trigger: type) -> None:
    """Do all of it, in this process and those that it forks; a second time changes nothing.

    Airflow has no settings for it. What concerns triggerers is done where a triggerer has loaded its code before the
    plugins, which it has unless ``[core] lazy_load_plugins`` is off.

    :param operator: the class name of the shards' operator.
    :param trigger: the shards' trigger.
    """
    collect_seldom()
    read_much_at_once()
    if airflow.__version__.startswith(KNOWN):
        leave_out_success_callbacks(operator)
        make_dags_once(operator)
        look_before_answering()
        tell_of_the_last_at_once(trigger)
