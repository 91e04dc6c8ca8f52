"""What ``airflow providers`` shows and Airflow loads of this package."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's description (airflow's provider_info.schema.json)."""
    name = "ECS feature pipelines"
    return {
        "package-name": "ecs-feature",
        "name": name,
        "description": "Batch feature pipelines on Amazon ECS/Fargate: one task per shard, services from and to zero.",
        "integrations": [
            {
                "integration-name": name,
                "external-doc-url": "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/Welcome.html",
                "tags": ["aws"],
            }
        ],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    f"ecs_feature.operators.{module}"
                    for module in ("janitor", "plan", "publish", "receipt", "service_scale", "shard", "task_definition")
                ],
            }
        ],
        "sensors": [{"integration-name": name, "python-modules": ["ecs_feature.sensors.service_steady"]}],
        "hooks": [
            {"integration-name": name, "python-modules": ["ecs_feature.hooks.ecs", "ecs_feature.services.client"]}
        ],
        "triggers": [
            {
                "integration-name": name,
                "python-modules": ["ecs_feature.triggers.service", "ecs_feature.triggers.shard"],
            }
        ],
        "cli": ["ecs_feature.cli.definition.get_ecs_feature_cli_commands"],
        "extra-links": ["ecs_feature.links.ecs.EcsTaskLink", "ecs_feature.links.ecs.EcsTaskLogLink"],
        "config": {
            "ecs_feature": {
                "description": "Settings of the ECS feature pipelines.",
                "options": {
                    "environment_file": {
                        "description": "Path of the JSON file with the values of ${NAME} placeholders.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/airflow/environment.json",
                        "default": "",
                    },
                    "prices_file": {
                        "description": (
                            "Path of a JSON file with prices that go before those of the package, by region: see "
                            "Prices in docs/launch-options.md."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/airflow/prices.json",
                        "default": "",
                    },
                    "credentials_timeout_seconds": {
                        "description": (
                            "How long a shard waits before its launch until AWS accepts its credentials and allows "
                            "RunTask; clients are renewed from the connection meanwhile. A shard whose task runs waits "
                            "until shard_timeout. The run's other tasks, except plan, wait so long for AWS, too."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "300",
                    },
                    "patch_airflow": {
                        "description": (
                            "Whether the plugin patches functions of Airflow, to save CPU and seconds in runs of "
                            "hundreds of shards: see Patches of Airflow in docs/scaling.md."
                        ),
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                },
            }
        },
    }
