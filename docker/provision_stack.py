"""The one-shot step of docker-compose.airflow.yml between the local Fargate and Airflow.

It makes in the local Fargate what Terraform would make in AWS, and leaves in a folder that Airflow's containers
share: ``environment.json``, the values of the placeholders, and ``keys/``, one file per key of this Airflow.
"up" runs it each time: keys that are there stay, and so does a local Fargate that was provisioned before.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from devstack import airflow, fargate, provision


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Do it with the settings of the environment: the AWS variables, STACK_FOLDER and TASKDEFS_FOLDER."""
    folder = Path(environ["STACK_FOLDER"])
    write_keys(folder)
    aws = {name: environ[name] for name in fargate.EXPORTS}
    side_door = fargate.SideDoor(aws["AWS_ENDPOINT_URL"])
    try:
        if is_provisioned(folder / "environment.json", side_door.load_balancers()):
            return
        values = provision.provision(
            provision.clients(aws),
            region=aws["AWS_DEFAULT_REGION"],
            taskdefs=Path(environ["TASKDEFS_FOLDER"]),
            token=secrets.token_hex(16),
            urls=side_door.load_balancers,
        )
    finally:
        side_door.close()
    provision.write_values(folder / "environment.json", values)


def is_provisioned(environment_file: Path, load_balancers: Mapping[str, str]) -> bool:
    """Whether the file belongs to the local Fargate that runs now: one that was started anew has other balancers."""
    if not load_balancers or not environment_file.exists():
        return False
    return set(load_balancers.values()) <= set(json.loads(environment_file.read_text()).values())


def write_keys(folder: Path) -> None:
    """Write Airflow's keys to ``keys/fernet_key``, ``keys/jwt_secret`` and ``keys/api_secret_key``, always the same."""
    keys = folder / "keys"
    for name, value in asdict(airflow.load_secrets(keys)).items():
        path = keys / name
        path.touch(mode=0o600)
        path.write_text(value)


if __name__ == "__main__":
    main()
