"""Services and their deployments, as AWS documents them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import CLUSTER, Stack, until
from .services import WEB, create, tasks_of


def test_a_service_is_scaled_from_zero_to_two_and_back(stack: Stack):
    created = create(stack, "updown")
    assert (created["status"], created["desiredCount"], created["runningCount"]) == ("ACTIVE", 0, 0)
    assert created["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    stack.until_steady("updown", 0)
    stack.ecs.update_service(cluster=CLUSTER, service="updown", desiredCount=2)
    up = stack.until_steady("updown", 2)
    assert [(d["status"], d["rolloutState"], d["runningCount"]) for d in up["deployments"]] == [
        ("PRIMARY", "COMPLETED", 2)
    ]
    running = tasks_of(stack, "updown")
    assert {(t["group"], t["startedBy"], t["healthStatus"]) for t in running} == {
        ("service:updown", up["deployments"][0]["id"], "HEALTHY")
    }
    stack.ecs.update_service(cluster=CLUSTER, service="updown", desiredCount=0)
    stack.until_steady("updown", 0)
    stopped = [stack.until_status(task["taskArn"], "STOPPED") for task in running]
    reason = f"Scaling activity initiated by (deployment {up['deployments'][0]['id']})"
    assert {(t["stopCode"], t["stoppedReason"]) for t in stopped} == {("ServiceSchedulerInitiated", reason)}


def test_a_task_that_dies_is_replaced(stack: Stack):
    create(stack, "replaced", 1)
    stack.until_steady("replaced", 1)
    (task,) = tasks_of(stack, "replaced")
    stack.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    until(lambda: [t["taskArn"] for t in tasks_of(stack, "replaced")], lambda arns: arns and arns != [task["taskArn"]])
    stack.until_steady("replaced", 1)


def test_an_unhealthy_task_is_replaced(stack: Stack):
    create(stack, "sick", 1, container={
        "healthCheck": {"command": ["CMD-SHELL", "test ! -e $HOME/sick"], "interval": 5, "retries": 1},
        "command": ["sh", "-c", "sleep 1; touch $HOME/sick; sleep 100"],
    })  # fmt: skip
    first = until(lambda: tasks_of(stack, "sick"), bool)[0]
    stopped = until(lambda: stack.task(first["taskArn"]), lambda t: t["lastStatus"] == "STOPPED", 20.0)
    assert stopped["stoppedReason"] == "Task failed container health checks"
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    stack.ecs.update_service(cluster=CLUSTER, service="sick", desiredCount=0)


def test_a_new_task_definition_rolls_out_without_a_gap(stack: Stack):
    old = create(stack, "rolling", 2)
    stack.until_steady("rolling", 2)
    new = stack.register("rolling", container=WEB | {"environment": [{"name": "NEW", "value": "1"}]})
    updated = stack.ecs.update_service(cluster=CLUSTER, service="rolling", taskDefinition=new)["service"]
    assert [(d["status"], d["taskDefinition"]) for d in updated["deployments"]] == [
        ("PRIMARY", new),
        ("ACTIVE", old["taskDefinition"]),
    ]
    running: list[int] = []

    def look() -> dict[str, Any]:
        service = stack.service("rolling")
        running.append(service["runningCount"])
        return service

    done = until(look, lambda s: len(s["deployments"]) == 1 and s["deployments"][0]["rolloutState"] == "COMPLETED")
    assert min(running) >= 2
    assert done["taskDefinition"] == new
    assert {t["taskDefinitionArn"] for t in tasks_of(stack, "rolling")} == {new}


def test_a_forced_deployment_replaces_the_tasks(stack: Stack):
    create(stack, "forced", 1)
    stack.until_steady("forced", 1)
    before = {task["taskArn"] for task in tasks_of(stack, "forced")}
    stack.ecs.update_service(cluster=CLUSTER, service="forced", forceNewDeployment=True)
    until(lambda: stack.service("forced"), lambda s: len(s["deployments"]) == 1)
    stack.until_steady("forced", 1)
    assert before.isdisjoint(task["taskArn"] for task in tasks_of(stack, "forced"))


def test_boto3s_own_waiters_understand_a_service(stack: Stack):
    create(stack, "waited", 1)
    stack.ecs.get_waiter("services_stable").wait(
        cluster=CLUSTER, services=["waited"], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    stack.ecs.delete_service(cluster=CLUSTER, service="waited", force=True)
    stack.ecs.get_waiter("services_inactive").wait(
        cluster=CLUSTER, services=["waited"], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )


def test_a_deleted_service_is_inactive(stack: Stack):
    create(stack, "deleted")
    stack.ecs.delete_service(cluster=CLUSTER, service="deleted")
    until(lambda: stack.service("deleted"), lambda service: service["status"] == "INACTIVE")
    with pytest.raises(ClientError) as caught:
        stack.ecs.update_service(cluster=CLUSTER, service="deleted", desiredCount=1)
    assert caught.value.response["Error"]["Code"] == "ServiceNotActiveException"
    listed = stack.ecs.list_services(cluster=CLUSTER)["serviceArns"]
    assert not [arn for arn in listed if arn.endswith("/deleted")]


def test_a_service_above_zero_is_deleted_only_by_force(stack: Stack):
    create(stack, "above", 1)
    with pytest.raises(ClientError) as caught:
        stack.ecs.delete_service(cluster=CLUSTER, service="above")
    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": "The service cannot be stopped while it is scaled above 0.",
    }


def test_a_deployment_that_cannot_start_trips_the_circuit_breaker(stack: Stack):
    configuration = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    create(stack, "broken", 1, container={"image": "nothing"}, deploymentConfiguration=configuration)
    failed = until(lambda: stack.service("broken"), lambda s: s["deployments"][0]["rolloutState"] == "FAILED")
    assert failed["deployments"][0]["failedTasks"] >= 3


def test_tags_of_a_service_are_shown_on_request_and_propagated(stack: Stack):
    create(stack, "tagged", 1, tags=[{"key": "team", "value": "x"}], propagateTags="SERVICE", enableECSManagedTags=True)
    with_tags = stack.ecs.describe_services(cluster=CLUSTER, services=["tagged"], include=["TAGS"])["services"][0]
    assert with_tags["tags"] == [{"key": "team", "value": "x"}]
    assert "tags" not in stack.service("tagged")
    (task,) = until(lambda: tasks_of(stack, "tagged"), bool)
    tags = {tag["key"]: tag["value"] for tag in task["tags"]}
    assert tags == {"team": "x", "aws:ecs:clusterName": CLUSTER, "aws:ecs:serviceName": "tagged"}
