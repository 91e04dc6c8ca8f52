"""The address of a run's Shards tab."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

RUN_TAB: Final = "plugin/shards-run"
"""The tab's route below a run's page; see :mod:`ecs_feature.plugin`."""


def shards_url(dag_id: str, run_id: str, base_url: str | None = None) -> str:
    """The page; without ``[api] base_url`` a path below the API server, since Airflow does not know its own address.

    :param base_url: of the API server; None: Airflow's setting.
    """
    if base_url is None:
        from airflow.providers.common.compat.sdk import conf

        base_url = conf.get("api", "base_url", fallback="") or ""
    return f"{base_url.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}/{RUN_TAB}"
