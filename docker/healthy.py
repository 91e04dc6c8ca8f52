"""A container's health check: ``healthy.py COMPONENT`` ends with 0 when Airflow says that this component is healthy.

Airflow judges by the heartbeats in its database, so a process that is there but hangs is found too. It costs one
small request; ``airflow jobs check`` would load all of Airflow each time.
"""

from __future__ import annotations

import json
import sys
import urllib.request

URL = "http://api-server:8080/api/v2/monitor/health"


def status(component: str, url: str = URL) -> str:
    """What Airflow's monitor says of ``metadatabase``, ``scheduler``, ``triggerer`` or ``dag_processor``.

    :raises OSError: the API server does not answer.
    :raises KeyError: it knows no such component.
    """
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(json.load(answer)[component]["status"])


if __name__ == "__main__":
    sys.exit(0 if status(sys.argv[1]) == "healthy" else 1)
