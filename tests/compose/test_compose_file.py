"""docker-compose.airflow.yml, held to what it promises; no engine is needed."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack import airflow, provision
from fargate_local.__main__ import parse
from fargate_local.settings import ACCESS_KEY_ID

from .conftest import ROOT

AIRFLOW = (
    "migrate", "api-server", "scheduler", "dag-processor", "triggerer-1", "triggerer-2", "worker", "metrics",
)  # fmt: skip
IMAGES = ("image-encoder", "image-flight-features", "image-rt-live", "image-rt-live-workers")
ONE_SHOT = ("first-start", "migrate", *IMAGES)
LASTING = ("postgres", "redis", "fargate-local", "prometheus", *AIRFLOW[1:])
ACCOUNT = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

Services = dict[str, dict[str, Any]]
LOCAL = dict(
    line.split("=", 1)
    for line in (ROOT / "docker" / "local.env").read_text().splitlines()
    if line and not line.startswith("#")
)


def test_the_stack_has_these_services_and_no_others(services: Services) -> None:
    assert set(services) == {*ONE_SHOT, *LASTING}


@pytest.mark.parametrize("name", LASTING)
def test_a_service_that_stays_has_a_health_check(services: Services, name: str) -> None:
    check = services[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_what_stays_is_started_again_when_it_ends(services: Services) -> None:
    policies = {name: services[name].get("restart", "no") for name in services}
    assert policies == dict.fromkeys(LASTING, "unless-stopped") | dict.fromkeys(ONE_SHOT, "no")


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


def test_only_the_ui_and_the_metrics_are_reached_and_from_this_machine_alone(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "api-server": ["127.0.0.1:${PORT:-8080}:8080"],
        "prometheus": ["127.0.0.1:${METRICS_PORT:-9090}:9090"],
    }


def test_no_secret_stands_in_the_file(services: Services) -> None:
    for name, service in services.items():
        for variable, value in dict(service.get("environment", {})).items():
            if any(word in variable for word in ("PASSWORD", "SECRET", "KEY", "CONN", "BROKER", "BACKEND")):
                assert variable.endswith(("_FILE", "_CMD", "REMOTE_LOG_CONN_ID", "VISIBILITY_TIMEOUT")), (
                    name,
                    variable,
                    value,
                )


def test_airflow_and_the_local_fargate_are_one_image_that_is_built_once(services: Services) -> None:
    others = ("postgres", "redis", "prometheus", *IMAGES)
    assert {service["image"] for name, service in services.items() if name not in others} == {
        "ecs-feature-airflow:local"
    }
    built = [name for name, service in services.items() if "build" in service]
    assert set(built) == {"first-start", *IMAGES}


def test_the_images_of_the_ecs_tasks_have_the_names_of_their_task_definitions(services: Services) -> None:
    values = {"IMAGE_REGISTRY": ACCOUNT, "IMAGE_TAG": "local"}
    named = {
        string.Template(container["image"]).substitute(values)
        for path in (ROOT / "include" / "taskdefs").glob("*.json")
        for container in json.loads(path.read_text())["containerDefinitions"]
    }
    assert {services[name]["image"] for name in IMAGES} == named
    for name in IMAGES:
        context = services[name]["build"]["context"]
        assert (ROOT / context / "Dockerfile").is_file()
        assert services[name]["build"]["secrets"] == ["ca_certificates", "package_index"]


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_gets_the_dags_read_only_and_the_package_from_the_wheel(services: Services, name: str) -> None:
    volumes = services[name]["volumes"]
    assert "./dags:/opt/airflow/dags:ro" in volumes
    assert "./include:/opt/airflow/include:ro" in volumes
    assert not [volume for volume in volumes if "plugins" in volume]


def test_secrets_are_in_volumes_that_only_their_readers_have(services: Services) -> None:
    mounts = {
        (name, volume.rpartition(":")[2] == "ro")
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume.startswith("stack:")
    }
    assert mounts == {("first-start", False), ("fargate-local", False), *((name, True) for name in AIRFLOW)}
    for secret in ("postgres", "redis"):
        readers = {
            name for name, service in services.items()
            if any(volume.startswith(f"{secret}-secret:") for volume in service.get("volumes", []))
        }  # fmt: skip
        assert readers == {"first-start", secret}


def test_every_named_volume_is_declared(compose: dict[str, Any], services: Services) -> None:
    named = {
        volume.partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(("./", "/", "${"))
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
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
    )
    assert {name: here[name] for name in alike} == {name: there[name] for name in alike}


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("AIRFLOW__CORE__FERNET_KEY_CMD", "fernet_key"),
        ("AIRFLOW__API__SECRET_KEY_CMD", "api_secret_key"),
        ("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "jwt_secret"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "database_url"),
        ("AIRFLOW__CELERY__BROKER_URL_CMD", "broker_url"),
        ("AIRFLOW__CELERY__RESULT_BACKEND_CMD", "broker_url"),
    ],
)
def test_keys_come_from_the_shared_volume_and_stand_nowhere_else(services: Services, setting: str, key: str) -> None:
    for name in AIRFLOW:
        assert services[name]["environment"][setting] == f"cat /var/lib/stack/keys/{key}"
        assert setting.removesuffix("_CMD") not in services[name]["environment"]


def test_one_variable_says_where_aws_is(services: Services) -> None:
    for name in ("fargate-local", *AIRFLOW):
        assert services[name]["env_file"] == ["${AWS_ENV_FILE:-./docker/local.env}"]
        assert not [variable for variable in services[name]["environment"] if variable in LOCAL]
    assert LOCAL["AWS_ENDPOINT_URL"] == "http://fargate-local:4566"
    assert LOCAL["AWS_ACCESS_KEY_ID"] == ACCESS_KEY_ID
    assert LOCAL["AWS_REGION"] == LOCAL["AWS_DEFAULT_REGION"] == "us-east-1"
    assert LOCAL["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"].startswith(f"s3://{provision.BUCKET}/")


def test_the_local_fargate_serves_the_file_system_of_the_task_definitions(services: Services) -> None:
    command = services["fargate-local"]["command"]
    assert f"--efs={provision.EFS_FILE_SYSTEM_ID}=/opt/airflow/include/efs/shared-models" in command
    assert "--port=4566" in command
    settings = parse([argument for argument in command[2:] if not argument.startswith(("--images", "--runtime"))])
    assert settings.advertised_host == "fargate-local"
    assert settings.load_balancer_range == (20000, 29999)
    assert settings.keep


def test_prometheus_is_sent_airflows_metrics_and_asks_for_ours(services: Services) -> None:
    environment = services["scheduler"]["environment"]
    assert environment["AIRFLOW__METRICS__OTEL_ON"] == "True"
    assert environment["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == "http://metrics:9105/v1/metrics"
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text())["scrape_configs"]
    assert scraped[0]["static_configs"] == [{"targets": ["metrics:9105"]}]
