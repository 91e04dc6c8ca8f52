"""What DescribeServices shows of every kind of service: which can be leased, and when each is steady."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.services.kinds import check, refusal, warnings
from ecs_feature.services.steadiness import failure_of, of_descent, of_service

ARN = "arn:aws:ecs:eu-west-1:123456789012:service/features/encoder"
BREAKER = "ECS deployment circuit breaker: tasks failed to start."
PRIMARY = {"id": "ecs-svc/2", "status": "PRIMARY", "desiredCount": 2, "rolloutState": "COMPLETED"}
ACTIVE = {"id": "ecs-svc/1", "status": "ACTIVE", "desiredCount": 2, "rolloutState": "COMPLETED"}
GOING_ON = PRIMARY | {"rolloutState": "IN_PROGRESS"}
FAILED = PRIMARY | {"rolloutState": "FAILED", "rolloutStateReason": BREAKER}
SERVING = {
    "id": "ecs-svc/1",
    "status": "PRIMARY",
    "stabilityStatus": "STEADY_STATE",
    "computedDesiredCount": 2,
    "runningCount": 2,
    "pendingCount": 0,
    "taskDefinition": "encoder:7",
    "loadBalancers": [{"targetGroupArn": "green"}],
}
EXTERNAL = {"deploymentController": {"type": "EXTERNAL"}, "deployments": []}
CODE_DEPLOY = {"deploymentController": {"type": "CODE_DEPLOY"}, "deployments": []}


def service(**changes: Any) -> EcsService:
    """A service of two tasks as DescribeServices shows it."""
    raw: dict[str, Any] = {
        "serviceName": "encoder",
        "serviceArn": ARN,
        "status": "ACTIVE",
        "desiredCount": 2,
        "runningCount": 2,
        "pendingCount": 0,
        "deployments": [PRIMARY],
    }
    return EcsService.from_aws(raw | changes)


def strategy(name: str, **more: Any) -> dict[str, Any]:
    return {"deploymentConfiguration": {"strategy": name, **more}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"deploymentController": {"type": "ECS"}, "schedulingStrategy": "REPLICA"}, ""),
        ({"resourceManagementType": "CUSTOMER", "availabilityZoneRebalancing": "ENABLED"}, ""),
        (strategy("BLUE_GREEN"), ""),
        (CODE_DEPLOY | {"taskSets": [SERVING]}, ""),
        (EXTERNAL | {"taskSets": [SERVING]}, ""),
        ({"deployments": [FAILED]}, ""),
        (EXTERNAL, "services: 'encoder' has the deployment controller EXTERNAL and no PRIMARY task set"),
        (CODE_DEPLOY | {"taskSets": [SERVING | {"status": "ACTIVE"}]}, "services: 'encoder' has the deployment contr"),
        ({"schedulingStrategy": "DAEMON"}, "services: 'encoder' has the scheduling strategy DAEMON, one task on each"),
        ({"resourceManagementType": "ECS"}, "services: 'encoder' is an Express service (resourceManagementType ECS)"),
        ({"serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/encoder"}, "services: 'encoder' has the ARN arn:"),
        ({"serviceArn": "arn:aws-cn:ecs:cn-north-1:1:service/encoder"}, "services: 'encoder' has the ARN arn:aws-cn:"),
    ],
)
def test_a_service_that_cannot_be_leased_is_refused_in_one_sentence(changes: dict[str, Any], said: str) -> None:
    found = refusal(service(**changes))
    assert found.startswith(said)
    assert bool(found) is bool(said)
    if said:
        assert found.endswith("html).")
        with pytest.raises(ConfigurationError, match=r"^services: 'encoder'"):
            check([service(), service(**changes)])
    else:
        check([service(**changes)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"availabilityZoneRebalancing": "DISABLED"}, []),
        (
            {"availabilityZoneRebalancing": "ENABLED"},
            ["Service encoder has availabilityZoneRebalancing ENABLED"],
        ),
        (
            {"deployments": [FAILED]},
            ["Service encoder: its deployment has failed, so ECS"],
        ),
    ],
)
def test_what_a_run_is_told_of_a_service_that_can_be_leased(changes: dict[str, Any], said: list[str]) -> None:
    found = warnings(service(**changes))
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


@pytest.mark.parametrize("controller", [CODE_DEPLOY, EXTERNAL])
@pytest.mark.parametrize(
    ("sets", "missing"),
    [
        ([SERVING], ""),
        # The one that was replaced stays until CodeDeploy's termination wait is over.
        ([SERVING, SERVING | {"status": "ACTIVE", "stabilityStatus": "STABILIZING"}], ""),
        ([SERVING | {"status": "ACTIVE"}], "it has no PRIMARY task set"),
        (
            [SERVING | {"computedDesiredCount": 0, "runningCount": 0}],
            "its PRIMARY task set wants 0 tasks, and not yet 2",
        ),
        (
            [SERVING | {"stabilityStatus": "STABILIZING", "runningCount": 1, "pendingCount": 1}],
            "1 of 2 tasks of its PRIMARY task set are running, 1 are pending; it is STABILIZING",
        ),
        (
            [SERVING | {"stabilityStatus": "STABILIZING"}],
            "2 of 2 tasks of its PRIMARY task set are running, 0 are pending; it is STABILIZING",
        ),
        ([SERVING | {"scale": {"value": 50.0, "unit": "PERCENT"}, "computedDesiredCount": 1, "runningCount": 1}], ""),
    ],
)
def test_task_sets_are_steady_by_ecss_word_on_the_primary_one(
    controller: dict[str, Any], sets: list[dict[str, Any]], missing: str
) -> None:
    state = of_service(service(**controller, taskSets=sets), healthy=0)
    assert (state.steady, state.missing) == (not missing, missing)


def test_a_service_with_task_sets_has_the_definition_and_the_target_group_of_the_primary_one() -> None:
    found = service(
        **CODE_DEPLOY, taskSets=[SERVING], taskDefinition="encoder:1", loadBalancers=[{"targetGroupArn": "b"}]
    )
    assert (found.task_definition_arn, found.target_groups) == ("encoder:7", (("green",),))


@pytest.mark.parametrize("name", ["BLUE_GREEN", "LINEAR", "CANARY"])
@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"deployments": [PRIMARY]}, ""),
        ({"deployments": [GOING_ON]}, "a {} deployment is going on; it bakes for 60 min"),
        ({"deployments": [GOING_ON, ACTIVE], "runningCount": 4}, "a {} deployment is going on; it bakes for 60 min"),
    ],
)
def test_ecss_own_traffic_shifts_are_steady_when_the_deployment_is_over(
    name: str, changes: dict[str, Any], missing: str
) -> None:
    state = of_service(service(**changes, **strategy(name, bakeTimeInMinutes=60)), healthy=2)
    assert (state.steady, state.missing) == (not missing, missing.format(name))


def test_a_deployment_that_a_hook_may_hold_says_so() -> None:
    hooks = [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}]
    state = of_service(service(deployments=[GOING_ON, ACTIVE], **strategy("CANARY", lifecycleHooks=hooks)), healthy=2)
    assert state.missing == "a CANARY deployment is going on; a PAUSE hook holds it until ContinueServiceDeployment"


def test_a_services_tasks_are_in_one_of_its_two_target_groups() -> None:
    pair = {"targetGroupArn": "blue", "advancedConfiguration": {"alternateTargetGroupArn": "green"}}
    classic = {"loadBalancerName": "old"}
    assert service(loadBalancers=[pair, {"targetGroupArn": "more"}, classic]).target_groups == (
        ("blue", "green"),
        ("more",),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"deployments": [FAILED], "runningCount": 0}, BREAKER),
        ({"deployments": [PRIMARY | {"rolloutState": "FAILED"}]}, "ECS gives no reason."),
        # Rolled back: the new PRIMARY deployment is that of the old version.
        ({"deployments": [GOING_ON, FAILED | {"status": "ACTIVE"}]}, ""),
        (CODE_DEPLOY | {"taskSets": [SERVING]}, ""),
    ],
)
def test_a_service_has_failed_when_its_primary_deployment_has(changes: dict[str, Any], reason: str) -> None:
    assert failure_of(service(**changes)) == reason


@pytest.mark.parametrize(
    ("changes", "down"),
    [
        ({}, True),
        ({"runningCount": 3}, False),
        ({"runningCount": 4, "deployments": [GOING_ON, ACTIVE]}, True),
        ({"runningCount": 5, "deployments": [GOING_ON, ACTIVE]}, False),
        ({"runningCount": 4, **CODE_DEPLOY, "taskSets": [SERVING, SERVING | {"status": "ACTIVE"}]}, True),
        # Nobody holds it: a deployment is no reason for a task to stay.
        ({"desiredCount": 0, "runningCount": 2, "deployments": [GOING_ON, ACTIVE]}, False),
        ({"desiredCount": 0, "runningCount": 0, "deployments": [FAILED]}, True),
    ],
)
def test_a_service_that_others_hold_is_down_while_it_is_deployed(changes: dict[str, Any], down: bool) -> None:
    assert of_descent(service(**changes)).steady is down
