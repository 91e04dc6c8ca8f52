"""One word decides where a pipeline's shards run."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import conf

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.operators.worker_shard import WorkerShardOperator
from ecs_feature.pipeline import HttpHealth, ScaledService, Variant, WorkerService
from tests.pipelines import pipeline

WORKERS = WorkerService("workers", count=5, queue="states")
PLAIN = {"variants": (), "task_definition": "features", "workers": WORKERS, "shards": ("AA", "BB")}


def work(shard: str) -> None:
    """A user's function."""


def test_fargate_does_not_use_the_workers():
    dag = pipeline(**PLAIN).dag()
    assert type(dag.get_task("shards.AA")) is EcsShardOperator
    assert not dag.has_task("scale_up")
    assert dag.get_task("plan").skippable == {}


def test_workers_run_the_same_shards_by_one_word():
    dag = pipeline(**PLAIN, dispatch="workers", retries=2, max_relaunches=3).dag()
    shard = dag.get_task("shards.AA")
    assert type(shard) is WorkerShardOperator
    assert (shard.queue, shard.user_retries, shard.retries, shard.start_from_trigger) == ("states", 2, 5, False)
    assert shard.execution_timeout.total_seconds() == 3600
    assert dag.get_task("scale_up").services == {"workers": 5}
    (check,) = dag.get_task("services_steady").ready["workers"]
    assert check["check"].endswith(":CeleryWorkers")
    assert check["queue"] == "states"
    assert dag.get_task("plan").skippable == {"AA": ["shards.AA"], "BB": ["shards.BB"]}


def test_an_estimate_has_as_many_shards_at_once_as_workers():
    from ecs_feature.estimates.facts import PipelineFacts

    for dispatch, most in (("workers", 5), ("fargate", 9)):
        facts = PipelineFacts.of(pipeline(**PLAIN, dispatch=dispatch, parallelism=9).dag())
        assert (facts.shards, facts.parallelism) == (("AA", "BB"), most)


def test_mapped_shards_run_on_workers():
    dag = pipeline(**{**PLAIN, "shards": lambda **_: ["a"]}, dispatch="workers").dag()
    shard = dag.get_task("shard")
    assert shard.operator_class is WorkerShardOperator
    assert shard.partial_kwargs["queue"] == "states"


def test_each_variant_has_workers_of_its_own():
    arms = [Variant(name, "features", workers=WorkerService(f"w-{name}", queue=f"q-{name}")) for name in ("a", "b")]
    dag = pipeline(variants=arms, dispatch="workers").dag()
    assert [dag.get_task(f"{name}.shards.AA").queue for name in ("a", "b")] == ["q-a", "q-b"]
    assert dag.get_task("plan").skippable == {"AA": ["a.shards.AA", "b.shards.AA"]}


def test_work_needs_no_task_definition_on_workers():
    dag = pipeline(**{**PLAIN, "task_definition": ""}, dispatch="workers", work=work).dag()
    assert dag.get_task("register").task_type == "EmptyOperator"
    assert dag.get_task("shards.AA").work is work


def test_services_have_checks_of_their_own():
    service = ScaledService("stream", ready=HttpHealth("http://x/ready"))
    dag = pipeline(variants=[Variant("control", "features", [service])]).dag()
    assert list(dag.get_task("control.services_steady").ready) == ["stream"]


@pytest.mark.parametrize(
    ("executor", "given"),
    [
        ("LocalExecutor", {}),
        ("CeleryExecutor", {}),
        ("LocalExecutor,CeleryExecutor", {"executor": "CeleryExecutor"}),
        ("LocalExecutor, fast:airflow.providers.celery.executors.celery_executor.CeleryExecutor", {"executor": "fast"}),
        ("CeleryExecutor,LocalExecutor", {}),
    ],
)
def test_celery_is_named_where_it_is_not_the_first_executor(executor: str, given: Any, monkeypatch: pytest.MonkeyPatch):
    from ecs_feature.pipeline.shard_tasks import celery_executor

    get = conf.get
    monkeypatch.setattr(conf, "get", lambda *key, **more: executor if key[1:] == ("executor",) else get(*key, **more))
    assert celery_executor() == given


REFUSED = [
    ({"dispatch": "batch"}, "dispatch: 'batch' is not known; give fargate or workers."),
    ({"dispatch": "workers", "workers": None}, "workers: the pipeline has none"),
    ({"workers": ScaledService("x")}, "workers: ScaledService("),
    ({"work": "f"}, "work: 'f' cannot be called"),
    ({"task_definition": "", "work": work}, "task_definition: none is given"),
    ({"dispatch": "workers", "services": [ScaledService("workers")]}, "services: workers more than once"),
    (
        {"variants": [Variant("a", "features")], "task_definition": "", "dispatch": "workers"},
        "workers: each of the variants has its own",
    ),
    (
        {"variants": [Variant("a", "features")], "task_definition": "", "workers": None, "dispatch": "workers"},
        "workers: variant a has none",
    ),
    (
        {
            "variants": [Variant(name, "features", workers=WorkerService(f"w-{name}")) for name in "ab"],
            "task_definition": "",
            "workers": None,
            "dispatch": "workers",
        },
        "workers: queue 'features' is that of variant a and of variant b",
    ),
    ({"variants": [Variant("a")], "task_definition": "", "workers": None}, "task_definition: variant a has none"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(changes: dict[str, Any], said: str):
    with pytest.raises(ConfigurationError) as refused:
        pipeline(**{**PLAIN, **changes}).dag()
    assert said in str(refused.value)


def test_a_queue_is_a_name():
    with pytest.raises(ConfigurationError, match="workers: queue: 'a b' is not a name"):
        WorkerService("w", queue="a b")
