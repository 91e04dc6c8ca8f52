"""What Terraform would make in AWS, made in the local Fargate of docker-compose.airflow.yml, and its values file.

`provision_stack.py NAME=VALUE ...` only changes values in that file.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from devstack import celery_workers, fargate, provision

WORKERS_SETTINGS: Mapping[str, str] = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://api-server:8080/execution/",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
    "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "aws_default",
    "NO_PROXY": "*",
}
"""Of Celery workers that are ECS tasks, beside the keys and what the AWS file says of Airflow."""


def main(arguments: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> None:
    """Do it with the settings of the environment: the AWS variables, STACK_FOLDER and TASKDEFS_FOLDER."""
    folder = Path(environ["STACK_FOLDER"])
    path = folder / "environment.json"
    earlier: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if arguments:
        provision.write_values(path, earlier | dict(each.split("=", 1) for each in arguments))
        return
    aws = {name: environ[name] for name in fargate.EXPORTS}
    client = provision.clients(aws)
    side_door = fargate.SideDoor(aws["AWS_ENDPOINT_URL"])
    try:
        values = provision.provision(
            client,
            region=aws["AWS_DEFAULT_REGION"],
            taskdefs=Path(environ["TASKDEFS_FOLDER"]),
            token=token(folder / "keys" / "encoder_token"),
            urls=side_door.load_balancers,
        )
    finally:
        side_door.close()
    celery_workers.write_environment(client("s3"), workers_settings(folder / "keys", environ))
    # what was set by hand stays
    provision.write_values(path, {name: text for name, text in earlier.items() if name not in values} | values)


def token(path: Path) -> str:
    """The shared secret of encoder and job: the same one each time, so that neither side is stale."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()


def workers_settings(keys: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of Celery workers that are ECS tasks; they cannot read the stack's volume."""
    secret = {
        "AIRFLOW__CORE__FERNET_KEY": "fernet_key",
        "AIRFLOW__API_AUTH__JWT_SECRET": "jwt_secret",
        "AIRFLOW__CELERY__BROKER_URL": "broker_url",
        "AIRFLOW__CELERY__RESULT_BACKEND": "broker_url",
    }
    read = {name: (keys / key).read_text() for name, key in secret.items() if (keys / key).exists()}
    of_aws = {name: environ[name] for name in environ if name.startswith(("AIRFLOW__LOGGING__", "AIRFLOW_CONN_"))}
    return {**WORKERS_SETTINGS, **of_aws, **read}


if __name__ == "__main__":
    main(sys.argv[1:])
