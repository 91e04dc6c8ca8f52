"""When a service had fewer tasks than its runs hold, what receipts say, and whether shards were left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.chaos.evidence import Evidence, Instance, Launched, Receipt, Run, Serving, receipts, serving
from devstack.chaos.meddler import ACTIONS, Meddler, PlannedMeddling
from devstack.chaos.shortages import Shortage, shortages
from devstack.chaos.verdict import judge

ENDED = "EssentialContainerExited (exit 0)"


def shard(run: str, start: float | None, end: float | None, name: str = "s01") -> Launched:
    return Launched(f"{run}-{name}", run, name, 1, 0.0, start, end, ENDED)


@pytest.mark.parametrize(
    ("tasks", "shards", "found"),
    [
        pytest.param([(0, None), (0, None)], [("a", 10, 50)], [], id="enough"),
        pytest.param([(0, 20), (0, None)], [("a", 10, 50)], [(20, 30, 1)], id="one less to the end"),
        pytest.param([(0, 20), (0, 20), (45, None), (46, None)], [("a", 10, 50)], [(20, 26, 0)], id="none for a while"),
        pytest.param([(0, 20), (20, None), (0, None)], [("a", 10, 50)], [], id="replaced without a gap"),
        pytest.param([(0, 20), (0, 60), (30, 60)], [("a", 10, 25), ("a", 25, 50)], [(20, 10, 1)], id="two shards"),
        pytest.param([(0, None)], [("a", 10, 20), ("a", 40, 50)], [(10, 10, 1), (40, 10, 1)], id="no shard between"),
        pytest.param([(0, None)] * 3, [("a", 10, 50), ("b", 30, 60)], [(30, 20, 3)], id="two runs need four"),
        pytest.param([(0, 15)], [("a", None, None)], [], id="its shard never ran"),
        pytest.param([(0, 15)] * 2 + [(90, None)], [("a", 10, None)], [(15, 75, 0)], id="a shard that never ends"),
    ],
)
def test_a_service_is_short_while_it_has_fewer_tasks_than_the_runs_need_whose_shards_run(
    tasks: list[tuple[float, float | None]], shards: list[tuple[Any, ...]], found: list[tuple[Any, ...]]
) -> None:
    given = shortages((Serving(*task) for task in tasks), (shard(*each) for each in shards), 2)
    assert given == [Shortage(*each) for each in found]


def evidence(**changed: Any) -> Evidence:
    whole: dict[str, Any] = {
        "runs": (Run("a", "success", 60.0),),
        "instances": (Instance("a", "s01", "success", 1),),
        "launched": (shard("a", 10.0, 50.0),),
        "executions": (),
        "services_up": (),
        "serving": (Serving(0.0, None), Serving(0.0, None)),
        "needed": 2,
        "baseline": 1,
        "receipts": (Receipt("a", "success", 1, 1, 1),),
    }
    return Evidence(**{**whole, **changed})


def problems(given: Evidence, *, undisturbed: bool = True) -> list[str]:
    return [each for each in judge(given, undisturbed=undisturbed).problems if "no result" not in each]


def test_what_is_as_it_should_be_has_no_problems() -> None:
    assert problems(evidence()) == []
    assert judge(evidence()).longest_shortage_seconds == 0.0
    assert judge(evidence(serving=None)).longest_shortage_seconds is None


@pytest.mark.parametrize(("back", "wrong"), [(70.0, False), (70.1, True)])
def test_a_service_may_be_short_for_a_minute(back: float, wrong: bool) -> None:
    given = evidence(
        runs=(Run("a", "success", 201.0),),
        launched=(shard("a", 10.0, 200.0),),
        serving=(Serving(0.0, None), Serving(0.0, 10.0), Serving(back, None)),
    )
    assert judge(given).longest_shortage_seconds == pytest.approx(back - 10.0)
    said = "For 60 s the service had down to 1 tasks, fewer than its runs hold."
    assert problems(given) == ([said] if wrong else [])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"launched": (shard("a", 10.0, 50.0), replace(shard("a", 10.0, 50.0), task="t2"))},
            "Shard s01 of run a: it was launched 2 times.",
        ),
        ({"instances": (Instance("a", "s01", "success", 2),)}, "Shard s01 of run a: it had 2 tries."),
        (
            {"launched": (replace(shard("a", 10.0, 50.0), ending="UserInitiated"),)},
            "ECS task a-s01 of shard s01 was stopped in run a (UserInitiated).",
        ),
        ({"receipts": ()}, "Run a has left no receipt."),
        (
            {"receipts": (Receipt("a", "failed", 1, 1, 1),)},
            "The receipt of run a says state failed, but it was success.",
        ),
        (
            {"receipts": (Receipt("a", "success", 0, 1, 1),)},
            "The receipt of run a says shards succeeded 0, but it was 1.",
        ),
        ({"receipts": (Receipt("a", "success", 1, 0, 1),)}, "The receipt of run a says launches 0, but it was 1."),
        (
            {"receipts": (Receipt("a", "success", 1, 1, 2),)},
            "The receipt of run a leaves 2 service tasks, and the baseline is 1.",
        ),
        (
            {"receipts": (Receipt("a", "success", 1, 1, None),)},
            "The receipt of run a leaves None service tasks, and the baseline is 1.",
        ),
    ],
)
def test_where_nothing_may_be_touched_each_touch_and_each_untruth_is_a_problem(
    changed: dict[str, Any], said: str
) -> None:
    assert said in problems(evidence(**changed))
    assert said not in problems(evidence(**changed), undisturbed=False)


def test_service_tasks_are_read_from_the_side_door_and_one_that_is_being_stopped_serves_no_more() -> None:
    task = {"cluster": "c", "family": "chaos-service", "started_at": 5.0, "stopping_at": None, "stopped_at": None}
    tasks = [
        task,
        {**task, "stopping_at": 8.0, "stopped_at": 10.0},
        {**task, "stopped_at": 9.0},
        {**task, "started_at": None},
        {**task, "cluster": "other"},
        {**task, "family": "chaos-shard"},
    ]
    assert serving(tasks, "c", "chaos-service") == (Serving(5.0, None), Serving(5.0, 8.0), Serving(5.0, 9.0))


def test_receipts_are_read_as_the_operator_leaves_them() -> None:
    variant = {"shards": {"succeeded": 3}, "launches": [{}, {}], "services": [{"after": 1}, {"after": 0}]}
    left = {"state": "success", "variants": {"control": variant}}
    unknown = {"state": "failed", "variants": {"control": {**variant, "services": [{"after": None}]}}}
    assert receipts({"a": left, "b": json.dumps(left), "c": unknown, "d": None}) == (
        Receipt("a", "success", 3, 2, 1),
        Receipt("b", "success", 3, 2, 1),
        Receipt("c", "failed", 3, 2, None),
    )


class Ecs:
    """Writes down what is done to its one service."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []
        self.tags = [{"key": "ecs-feature:policy", "value": "x"}, {"key": "team", "value": "y"}]

    def describe_services(self, **_: Any) -> Any:
        return {"services": [{"serviceArn": "arn", "taskDefinition": "family:1", "tags": self.tags}]}

    def describe_task_definition(self, taskDefinition: str) -> Any:
        return {"taskDefinition": {"family": "family", "cpu": "256", "containerDefinitions": [], "revision": 1}}

    def register_task_definition(self, **request: Any) -> Any:
        assert request == {"family": "family", "cpu": "256", "containerDefinitions": []}
        return {"taskDefinition": {"taskDefinitionArn": "family:2"}}

    def untag_resource(self, **request: Any) -> None:
        self.done.append(("untag", request["tagKeys"]))

    def update_service(self, *, cluster: str, service: str, **changes: Any) -> None:
        assert (cluster, service) == ("c", "s")
        self.done.append(("update", changes))


def test_every_action_of_the_meddler_is_carried_out_at_its_time() -> None:
    ecs, told = Ecs(), []
    plan = [PlannedMeddling(float(number), action) for number, action in enumerate(ACTIONS, start=1)]
    meddler = Meddler(ecs, "c", "s", 1, plan, told.append)
    for seconds in (None, 0.9):
        meddler.tick(seconds)
    assert ecs.done == []
    for seconds in (1.0, 2.0, 6.5):
        meddler.tick(seconds)
    every = ["ecs-feature:policy", "team"]
    assert ecs.done == [
        ("untag", every),
        ("update", {"desiredCount": 0}),
        ("update", {"desiredCount": 1}),
        ("untag", every),
        ("update", {"desiredCount": 1}),
        ("update", {"forceNewDeployment": True}),
        ("update", {"taskDefinition": "family:2"}),
    ]
    assert meddler.done == dict.fromkeys(ACTIONS, 1)
    assert told[0] == "s: somebody else writes to it: remove all tags"
    ecs.tags = []
    meddler.do("remove all tags")
    assert ecs.done[-1] == ("update", {"taskDefinition": "family:2"})


def test_what_the_meddler_was_refused_is_done_at_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the test suite it shares the local Fargate with a storm of throttling."""
    ecs = Ecs()
    meddler = Meddler(ecs, "c", "s", 1, [PlannedMeddling(1.0, "deploy again")], lambda words: None)
    with monkeypatch.context() as patch:
        patch.setattr(ecs, "update_service", _throttled)
        meddler.tick(1.0)
        assert meddler.done == {}
    meddler.tick(1.2)
    assert meddler.done == {"deploy again": 1}
    assert ecs.done == [("update", {"forceNewDeployment": True})]


def _throttled(**_: Any) -> None:
    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateService")
