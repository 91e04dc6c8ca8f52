"""One stack with two triggerers for the chaos tests; its processes carry a secret in their environment."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.chaos.campaign import AIRFLOW_OPTIONS
from devstack.chaos.front import Fronts, connections, opened_fronts
from devstack.chaos.scenarios import SMALL_BLINDNESS
from devstack.chaos.world import DAGS, IMAGES
from devstack.postgres import Postgres
from devstack.processes import ROOT
from devstack.stack import Stack, clear

FOLDER = ROOT / "build" / "test" / "chaos"
EXTRA_DAGS = Path(__file__).parent / "dags"


@dataclass(frozen=True)
class ChaosStack:
    """What the tests work with.

    :param database_url: of Airflow's database.
    :param process_secret: the value of a variable in the environment of all of Airflow's processes.
    :param leaked_secret: likewise, but a DAG gives it to its containers in the open.
    :param fronts: of the small scenario with blindness.
    """

    stack: Stack
    database_url: str
    process_secret: str
    leaked_secret: str
    fronts: Fronts


@pytest.fixture(scope="package")
def chaos_stack() -> Iterator[ChaosStack]:
    clear(FOLDER)
    process_secret, leaked_secret = f"process{secrets.token_hex(12)}", f"leaked{secrets.token_hex(12)}"
    with (
        pytest.MonkeyPatch.context() as patch,
        Postgres(FOLDER / "logs") as postgres,
        opened_fronts([SMALL_BLINDNESS], ("ours",), 7, FOLDER / "fronts") as fronts,
    ):
        patch.setenv("PAYMENTS_TOKEN", process_secret)
        patch.setenv("LEAKED_TOKEN", leaked_secret)
        stack = Stack(
            FOLDER,
            database_url=postgres.url,
            triggerers=2,
            # The stack of the system tests leaves Airflow as it is, which is the default.
            # No DAG file changes while the tests run.
            options={
                **AIRFLOW_OPTIONS,
                "ecs_feature": {"patch_airflow": "True"},
                "dag_processor": {"min_file_process_interval": "900", "refresh_interval": "900"},
            },
            dags=False,
            extra_dags={"chaos": DAGS, "chaos-tests": EXTRA_DAGS},
            fargate_arguments=("--images", str(IMAGES)),
            grace_seconds=2,
            connections=connections(fronts),
        )
        with stack:
            yield ChaosStack(stack, postgres.url, process_secret, leaked_secret, fronts)
