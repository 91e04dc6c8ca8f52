"""Which strings of a pipeline may have placeholders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

PLACES: dict[str, Any] = {
    "cluster": "${X}",
    "container": "${X}",
    "input_uri": "s3://${X}/raw",
    "output_uri": "s3://${X}/features",
    "taskdefs": "/opt/${X}",
    "subnets": "subnet-${X}",
    "security_groups": ["sg-${X}"],
    "capacity": [{"capacityProvider": "${X}", "weight": 1}],
    "task_events_queue_url": "https://sqs/${X}",
    "aws_conn_id": "${X}",
    "region_name": "${X}",
    "shards": ("a", "${X}"),
    "variants": [Variant("control", "${X}", [ScaledService("${X}")], {"URL": "http://${X}"})],
}


def filled(environment: dict[str, str] | None, **changes: Any) -> FeaturePipeline:
    return pipeline(**{**PLACES, "placeholders": environment, **changes})


def test_every_string_is_filled() -> None:
    resolved = filled({"X": "value"}).resolved()
    assert {name for name in PLACES if "${X}" in repr(getattr(resolved, name))} == set()
    assert resolved.region_name == "value"
    assert resolved.capacity == [{"capacityProvider": "value", "weight": 1}]
    assert resolved.variants[0].services[0].name == "value"


@pytest.mark.parametrize("field", [name for name in PLACES if name != "variants"])
def test_a_placeholder_without_a_value_names_its_field(field: str) -> None:
    others = {name: getattr(filled({"X": "value"}).resolved(), name) for name in PLACES if name != field}
    with pytest.raises(ConfigurationError, match=rf"^{field}.*the placeholder \$\{{X\}} has no value"):
        filled({}, **others).resolved()


def test_what_is_no_text_stays_as_it_is() -> None:
    resolved = filled({"X": "value"}, taskdefs=Path("/opt/${X}"), aws_conn_id=None, region_name=None).resolved()
    assert (resolved.taskdefs, resolved.aws_conn_id, resolved.region_name) == (Path("/opt/${X}"), None, None)


def test_the_values_of_a_pipeline_are_also_its_task_definitions() -> None:
    dag = filled({"X": "value"}).dag()
    assert dag.get_task("control.register").environment == {"X": "value"}
