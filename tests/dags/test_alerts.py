"""Callbacks and deadline alerts of a pipeline are the DAG's, also after a round through its serialized form."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.serialization.serialized_objects import DagSerialization

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline import FeaturePipeline, PipelineNotifier

TASKDEFS = Path(__file__).resolve().parents[2] / "include" / "taskdefs"


def pipeline(**changed: Any) -> DAG:
    return FeaturePipeline(
        dag_id="told",
        shards=("AA", "UA"),
        task_definition="flight-features-control",
        container="features",
        taskdefs=TASKDEFS,
        output_uri="s3://b/p",
        cluster="c",
        subnets="subnet-1",
        security_groups=(),
        placeholders={},
        **changed,
    ).dag()


def tell(context: Any) -> None: ...


NOTIFIER = PipelineNotifier(print)
LATE = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(hours=2),
    callback=AsyncCallback(PipelineNotifier, kwargs={"notify": "a.B"}),
)


def test_a_pipeline_has_none_unless_it_is_given_some() -> None:
    dag = pipeline()
    assert (dag.on_success_callback, dag.on_failure_callback, dag.deadline) == (None, None, None)
    assert (dag.has_on_success_callback, dag.has_on_failure_callback) == (False, False)


@pytest.mark.parametrize(
    ("given", "calls"), [(NOTIFIER, [NOTIFIER]), (tell, [tell]), ([tell, NOTIFIER], [tell, NOTIFIER])]
)
def test_callbacks_are_the_dags(given: Any, calls: list[Any]) -> None:
    dag = pipeline(on_success=given)
    assert (dag.on_success_callback, dag.on_failure_callback) == (calls, None)
    dag = pipeline(on_failure=given)
    assert (dag.on_success_callback, dag.on_failure_callback) == (None, calls)
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert (serialized.has_on_success_callback, serialized.has_on_failure_callback) == (False, True)


def test_tasks_have_no_callbacks_of_the_dag() -> None:
    """A shard with a callback of its own would end on a worker."""
    for task in pipeline(on_success=tell, on_failure=tell).tasks:
        assert not task.has_on_success_callback
        assert not task.has_on_failure_callback


@pytest.mark.parametrize("given", [LATE, [LATE], (LATE, LATE)])
def test_deadline_alerts_are_the_dags(given: Any) -> None:
    alerts = list(given) if isinstance(given, list | tuple) else [given]
    assert pipeline(deadline=given).deadline == alerts


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"on_success": "slack"}, "on_success: 'slack' cannot be called; give a notifier, e.g. PipelineNotifier"),
        ({"on_failure": [tell, 3]}, "on_failure: 3 cannot be called; give a notifier"),
        ({"on_failure": PipelineNotifier}, "on_failure: PipelineNotifier is a class; give one of it, PipelineNotifier"),
        (
            {"deadline": timedelta(hours=2)},
            r"deadline: datetime.timedelta\(seconds=7200\) is of type timedelta; give an",
        ),
        ({"deadline": [LATE, None]}, "deadline: None is of type NoneType; give an airflow.sdk.DeadlineAlert"),
    ],
)
def test_what_airflow_could_not_call_is_an_import_error(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{sentence}"):
        pipeline(**changed)
