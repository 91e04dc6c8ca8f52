"""docker-compose.airflow.yml, held to what it promises; no engine is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devstack import airflow, provision
from fargate_local.settings import ACCESS_KEY_ID

AIRFLOW = ("migrate", "api-server", "scheduler", "dag-processor", "triggerer")
ONE_SHOT = ("provision", "migrate")
LASTING = ("postgres", "fargate-local", "api-server", "scheduler", "dag-processor", "triggerer")

Services = dict[str, dict[str, Any]]


def test_the_stack_has_these_services_and_no_others(services: Services) -> None:
    assert set(services) == {*ONE_SHOT, *LASTING}


@pytest.mark.parametrize("name", LASTING)
def test_a_service_that_stays_has_a_health_check(services: Services, name: str) -> None:
    check = services[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_what_keeps_its_state_on_a_disk_is_restarted_and_what_does_not_is_not(services: Services) -> None:
    policies = {name: services[name].get("restart", "no") for name in services}
    assert policies == {
        "postgres": "unless-stopped",
        "fargate-local": "no",
        "provision": "no",
        "migrate": "no",
        "api-server": "unless-stopped",
        "scheduler": "unless-stopped",
        "dag-processor": "unless-stopped",
        "triggerer": "unless-stopped",
    }


@pytest.mark.parametrize("name", ONE_SHOT)
def test_up_wait_accepts_the_end_of_a_one_shot_because_another_service_waits_for_it(
    services: Services, name: str
) -> None:
    conditions = [service.get("depends_on", {}).get(name, {}).get("condition") for service in services.values()]
    assert "service_completed_successfully" in conditions


def test_services_wait_for_health_or_success_of_others_and_not_in_a_circle(services: Services) -> None:
    waits_for = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    for service in services.values():
        for other, dependency in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert dependency["condition"] == wanted
    started: set[str] = set()
    while ready := {name for name, others in waits_for.items() if name not in started and others <= started}:
        started |= ready
    assert started == set(services)


def test_only_the_api_server_is_reached_from_outside_and_from_this_machine_alone(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:${PORT:-8080}:8080"]}


def test_one_image_is_built_once_and_used_by_all_but_postgres(services: Services) -> None:
    assert [name for name, service in services.items() if "build" in service] == ["fargate-local"]
    images = {name: service["image"] for name, service in services.items() if name != "postgres"}
    assert set(images.values()) == {"ecs-feature-airflow:local"}


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_gets_the_dags_read_only_and_the_package_from_the_wheel(services: Services, name: str) -> None:
    volumes = services[name]["volumes"]
    assert "./dags:/opt/airflow/dags:ro" in volumes
    assert "./include:/opt/airflow/include:ro" in volumes
    assert not [volume for volume in volumes if "plugins" in volume]


def test_only_the_provision_step_writes_what_the_containers_share(services: Services) -> None:
    mounts = {
        name: volume
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume.startswith("stack:")
    }
    assert mounts == {"provision": "stack:/var/lib/stack"} | {name: "stack:/var/lib/stack:ro" for name in AIRFLOW}


def test_every_named_volume_is_declared(compose: dict[str, Any], services: Services) -> None:
    named = {
        volume.partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(("./", "/"))
    }
    assert named == set(compose["volumes"])


def test_airflow_is_set_as_by_make_up(services: Services) -> None:
    installation = airflow.Installation(
        home=Path("home"),
        port=8080,
        bundles={"dags-folder": Path("dags")},
        aws={"AWS_DEFAULT_REGION": "us-east-1"},
        environment_file=Path("environment.json"),
    )
    there = airflow.settings(installation, airflow.Secrets("fernet", "jwt", "api"))
    here = services["scheduler"]["environment"]
    alike = (
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__CORE__PARALLELISM",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
        "AIRFLOW_CONN_AWS_DEFAULT",
    )
    assert {name: here[name] for name in alike} == {name: there[name] for name in alike}


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("AIRFLOW__CORE__FERNET_KEY_CMD", "fernet_key"),
        ("AIRFLOW__API__SECRET_KEY_CMD", "api_secret_key"),
        ("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "jwt_secret"),
    ],
)
def test_keys_come_from_the_shared_volume_and_stand_nowhere_else(services: Services, setting: str, key: str) -> None:
    for name in AIRFLOW:
        assert services[name]["environment"][setting] == f"cat /var/lib/stack/keys/{key}"
        assert setting.removesuffix("_CMD") not in services[name]["environment"]


def test_everybody_talks_to_the_local_fargate_with_the_key_that_it_accepts(services: Services) -> None:
    for name in ("provision", *AIRFLOW):
        environment = services[name]["environment"]
        assert environment["AWS_ENDPOINT_URL"] == "http://fargate-local:4566"
        assert environment["AWS_ACCESS_KEY_ID"] == ACCESS_KEY_ID
        assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"


def test_the_local_fargate_serves_the_file_system_of_the_task_definitions(services: Services) -> None:
    command = services["fargate-local"]["command"]
    assert f"--efs={provision.EFS_FILE_SYSTEM_ID}=/opt/airflow/include/efs/shared-models" in command
    assert "--port=4566" in command
