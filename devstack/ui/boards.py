"""The DAG files of the seeded Airflow, and how large its boards are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devstack.processes import ROOT

_STATES = (
    "AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR "
    "PA RI SC SD TN TX UT VA VT WA WI WV WY"
)
STATES: Final = tuple(_STATES.split())
HOSTILE: Final = (
    "<img src=x onerror=alert(1)>",
    "../../etc",
    "long-" + "e" * 195,  # 200 characters are the most that a name may have
    "🚀 emoji",
    "שלום עולם",
    'it\'s "quoted" & <b>bold</b>',
    "{{ braces }} `tick` \\ back",
    "100% #hash?query=1;two",
)
NAMED, MAPPED, HOSTILE_DAG, FOREIGN, EMPTY = (
    "state_features", "tenant_features", "hostile_names", "orders_export", "new_features",
)  # fmt: skip
CONTROL, TREATMENT = "control", "treatment"


@dataclass(frozen=True)
class Size:
    """How much is seeded.

    :param shards: of the mapped pipeline; ``runs``: of its runs. The named one has 51 shards in two variants.
    :param named_runs: runs of the named pipeline.
    :param seed: of everything that is drawn.
    """

    shards: int = 500
    runs: int = 30
    named_runs: int = 30
    seed: int = 7


def tenants(count: int) -> list[str]:
    """The names of the mapped pipeline's shards."""
    return [f"tenant-{number:04d}" for number in range(1, count + 1)]


def write(folder: Path, size: Size) -> None:
    """Write the DAG files."""
    folder.mkdir(parents=True, exist_ok=True)
    taskdefs = str(ROOT / "include" / "taskdefs")
    common = f"""
COMMON = {{
    "start_date": datetime(2026, 1, 1), "cluster": "features", "container": "features", "taskdefs": {taskdefs!r},
    "subnets": "subnet-0a", "security_groups": "", "catchup": False, "retries": 1,
    "environment": {{"ENCODER_URL": "http://encoder"}},
}}
"""
    head = "from datetime import datetime\n\nfrom ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant\n"
    variants = ", ".join(
        f'Variant("{name}", "flight-features-{name}", [ScaledService("encoder-{name}", 2)])'
        for name in (CONTROL, TREATMENT)
    )
    (folder / f"{NAMED}.py").write_text(
        f'"""Airflow DAG: features of 51 states in two variants."""\n\n{head}{common}\n'
        f'dag = FeaturePipeline(\n    dag_id="{NAMED}", schedule="@daily", shards={tuple(STATES)!r},\n'
        f'    variants=[{variants}], output_uri="s3://features/states", publish="partial", **COMMON,\n).dag()\n'
    )
    (folder / f"{MAPPED}.py").write_text(
        f'"""Airflow DAG: features of tenants that are found at run time."""\n\n{head}{common}\n\n'
        f'def found(**_):\n    return [f"tenant-{{n:04d}}" for n in range(1, {size.shards} + 1)]\n\n\n'
        f'dag = FeaturePipeline(\n    dag_id="{MAPPED}", schedule="@daily", shards=found,\n'
        f'    task_definition="flight-features-control", services=[ScaledService("encoder-tenants", 4)],\n'
        f'    output_uri="s3://features/tenants", publish="partial", **COMMON,\n).dag()\n'
    )
    (folder / f"{HOSTILE_DAG}.py").write_text(
        f'"""Airflow DAG: shards whose names are hard to show."""\n\n{head}{common}\n'
        f'dag = FeaturePipeline(\n    dag_id="{HOSTILE_DAG}", schedule=None, shards={HOSTILE!r},\n'
        f'    task_definition="flight-features-control", output_uri="s3://features/names", **COMMON,\n).dag()\n'
    )
    (folder / f"{EMPTY}.py").write_text(
        f'"""Airflow DAG: a pipeline that has never run."""\n\n{head}{common}\n'
        f'dag = FeaturePipeline(\n    dag_id="{EMPTY}", schedule=None, shards=("north", "south"),\n'
        f'    task_definition="flight-features-control", output_uri="s3://features/new", **COMMON,\n).dag()\n'
    )
    (folder / f"{FOREIGN}.py").write_text(
        '"""Airflow DAG: none of ours, with task ids that look like ours."""\n\nfrom datetime import datetime\n\n'
        "from airflow.providers.standard.operators.empty import EmptyOperator\nfrom airflow.sdk import DAG\n\n"
        f'with DAG("{FOREIGN}", start_date=datetime(2026, 1, 1), schedule=None):\n'
        '    EmptyOperator(task_id="shards") >> EmptyOperator(task_id="publish") >> EmptyOperator(task_id="receipt")\n'
    )
