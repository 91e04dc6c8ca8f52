"""Scale-in protection of a service's tasks: the API, the agent's endpoint, and what the service scheduler does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from .conftest import CLUSTER, NETWORK, Stack, until
from .services import WEB, create, tasks_of

ROLE = "arn:aws:iam::123456789012:role/task"


class Clock:
    """The wall clock, and a jump."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def protect(stack: Stack, *arns: str, enabled: bool = True, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = stack.ecs.update_task_protection(
        cluster=CLUSTER, tasks=list(arns), protectionEnabled=enabled, **more
    )
    return answer


def arns_of(stack: Stack, service: str) -> list[str]:
    """The ARNs of its tasks that should run, oldest first."""
    return [task["taskArn"] for task in sorted(tasks_of(stack, service), key=lambda task: task["createdAt"])]


def service_of(stack: Stack, name: str, count: int, **changed: Any) -> list[str]:
    create(stack, name, count, **changed)
    stack.until_steady(name, count)
    return arns_of(stack, name)


def scale(stack: Stack, name: str, count: int) -> None:
    stack.ecs.update_service(cluster=CLUSTER, service=name, desiredCount=count)


def until_tasks(stack: Stack, name: str, expected: set[str]) -> None:
    until(lambda: set(arns_of(stack, name)), lambda arns: arns == expected)


def test_a_task_is_protected_for_two_hours_unless_it_says_otherwise(stack: Stack):
    (task,) = service_of(stack, "hours", 1)
    before = time.time()
    (protected,) = protect(stack, task)["protectedTasks"]
    assert (protected["taskArn"], protected["protectionEnabled"]) == (task, True)
    assert 7200 <= protected["expirationDate"].timestamp() - before < 7260
    (protected,) = protect(stack, task, expiresInMinutes=2880)["protectedTasks"]
    assert 172_800 <= protected["expirationDate"].timestamp() - before < 172_860
    assert stack.ecs.get_task_protection(cluster=CLUSTER, tasks=[task])["protectedTasks"] == [protected]
    assert protect(stack, task, enabled=False)["protectedTasks"] == [{"taskArn": task, "protectionEnabled": False}]
    assert stack.ecs.get_task_protection(cluster=CLUSTER, tasks=[task.rpartition("/")[2]])["protectedTasks"] == [
        {"taskArn": task, "protectionEnabled": False}
    ]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"expiresInMinutes": 0}, "expiresInMinutes is 0: it must be between 1 and 2880."),
        ({"expiresInMinutes": 2881}, "expiresInMinutes is 2881: it must be between 1 and 2880."),
        ({"tasks": []}, "tasks has 0 elements; there must be 1 to 10."),
        ({"tasks": ["a"] * 11}, "tasks has 11 elements; there must be 1 to 10."),
    ],
)
def test_what_is_out_of_range_is_refused(stack: Stack, changed: dict[str, Any], sentence: str):
    with pytest.raises(ClientError) as caught:
        stack.ecs.update_task_protection(**({"cluster": CLUSTER, "tasks": ["a"], "protectionEnabled": True} | changed))
    assert caught.value.response["Error"] == {"Code": "InvalidParameterException", "Message": sentence}


def test_only_live_tasks_of_services_can_be_protected(stack: Stack):
    alone = stack.run(stack.register(container={"command": ["sleep", "30"]}))["taskArn"]
    (stopped,) = service_of(stack, "valid", 1)
    stack.ecs.stop_task(cluster=CLUSTER, task=stopped)
    answer = protect(stack, alone, stopped, "nothing")
    assert answer["protectedTasks"] == []
    assert [(failure["arn"].rpartition("/")[2], failure["reason"]) for failure in answer["failures"]] == [
        (alone.rpartition("/")[2], "TASK_NOT_VALID"),
        (stopped.rpartition("/")[2], "TASK_NOT_VALID"),
        ("nothing", "MISSING"),
    ]
    stack.ecs.stop_task(cluster=CLUSTER, task=alone)


def test_scale_in_takes_the_unprotected_and_leaves_the_protected_until_they_may_go(stack: Stack):
    first, second, third = service_of(stack, "busy", 3)
    protect(stack, second, third)
    scale(stack, "busy", 1)
    until_tasks(stack, "busy", {second, third})
    told = until(lambda: stack.service("busy")["events"], lambda events: "protected" in events[0]["message"])
    assert "is unable to stop 1 tasks because they are protected" in told[0]["message"]
    scale(stack, "busy", 0)
    stack.until_status(first, "STOPPED")
    assert set(arns_of(stack, "busy")) == {second, third}
    protect(stack, second, enabled=False)
    until_tasks(stack, "busy", {third})
    assert stack.service("busy")["runningCount"] >= 1
    protect(stack, third, enabled=False)
    until_tasks(stack, "busy", set())
    stack.until_steady("busy", 0)
    assert stack.task(third)["stopCode"] == "ServiceSchedulerInitiated"


def test_more_protected_tasks_than_wanted_block_further_protection(stack: Stack):
    first, second = service_of(stack, "blocked", 2)
    protect(stack, first)
    scale(stack, "blocked", 0)
    until_tasks(stack, "blocked", {first})
    answer = protect(stack, first)
    assert answer["protectedTasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["DEPLOYMENT_BLOCKED"]
    protect(stack, first, enabled=False)
    stack.until_steady("blocked", 0)
    assert stack.task(second)["desiredStatus"] == "STOPPED"


def test_a_deployment_leaves_protected_tasks_of_the_old_one(stack: Stack):
    first, second = service_of(stack, "deployed", 2)
    protect(stack, first)
    new = stack.register("deployed", container=WEB | {"environment": [{"name": "NEW", "value": "1"}]})
    stack.ecs.update_service(cluster=CLUSTER, service="deployed", taskDefinition=new)
    stack.until_status(second, "STOPPED")
    until(lambda: tasks_of(stack, "deployed"), lambda tasks: len(tasks) == 3)
    assert first in arns_of(stack, "deployed")
    assert len(stack.service("deployed")["deployments"]) == 2
    protect(stack, first, enabled=False)
    stack.until_status(first, "STOPPED")
    stack.until_steady("deployed", 2)


def test_protection_ends_by_itself(own_stack: Callable[..., Stack]):
    clock = Clock()
    stack = own_stack(quotas=False, clock=clock)
    (task,) = service_of(stack, "expires", 1)
    protect(stack, task, expiresInMinutes=1)
    scale(stack, "expires", 0)
    until(lambda: stack.service("expires")["events"], lambda events: "protected" in events[0]["message"])
    clock.ahead = 55.0
    time.sleep(0.6)  # the scheduler has looked again, and the task is still protected
    assert arns_of(stack, "expires") == [task]
    clock.ahead = 61.0
    assert stack.ecs.get_task_protection(cluster=CLUSTER, tasks=[task])["protectedTasks"][0] == {
        "taskArn": task, "protectionEnabled": False,
    }  # fmt: skip
    stack.until_steady("expires", 0)


def test_protection_holds_no_deleted_service_and_no_unhealthy_task(stack: Stack):
    (kept,) = service_of(stack, "deleted-protected", 1)
    protect(stack, kept)
    stack.ecs.delete_service(cluster=CLUSTER, service="deleted-protected", force=True)
    stack.until_status(kept, "STOPPED")
    (sick,) = service_of(stack, "sick-protected", 1, container={
        "healthCheck": {"command": ["CMD-SHELL", "test ! -e $HOME/sick"], "interval": 5, "retries": 1},
        "command": ["sh", "-c", "sleep 2; touch $HOME/sick; sleep 100"],
    })  # fmt: skip
    protect(stack, sick)
    stopped = until(lambda: stack.task(sick), lambda task: task["desiredStatus"] == "STOPPED", 20.0)
    assert stopped["stoppedReason"] == "Task failed container health checks"
    stack.ecs.update_service(cluster=CLUSTER, service="sick-protected", desiredCount=0)


AGENT = """
import json, os, time, urllib.error, urllib.request
url = os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state"
def ask(method, body=None):
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
for method, body in %r:
    print(json.dumps(ask(method, body)), flush=True)
time.sleep(100)
"""
ASKED = [
    ("GET", None),
    ("PUT", {"ProtectionEnabled": True, "ExpiresInMinutes": 60}),
    ("GET", None),
    ("PUT", {"ProtectionEnabled": False}),
    ("PUT", {"ProtectionEnabled": True, "ExpiresInMinutes": 2881}),
    ("PUT", {"ExpiresInMinutes": 5}),
    ("PUT", {"ProtectionEnabled": True, "Minutes": 5}),
]


def answers(stack: Stack, task: str) -> list[Any]:
    stack.until_status(task, "RUNNING")
    lines = until(lambda: stack.lines({"taskArn": task}), lambda lines: len(lines) == len(ASKED))
    return [json.loads(line) for line in lines]


def test_a_task_protects_itself_through_the_agent(stack: Stack):
    definition = stack.register("agent", taskRoleArn=ROLE, container={"command": ["python", "-c", AGENT % ASKED]})
    create_with(stack, "agent", definition)
    task = until(lambda: arns_of(stack, "agent"), bool)[0]
    none, protected, again, unprotected, late, without, unknown = answers(stack, task)
    assert none == [200, {"protection": {"ExpirationDate": None, "ProtectionEnabled": False, "TaskArn": task}}]
    assert again == protected
    assert protected[0] == 200
    assert protected[1]["protection"] | {"ExpirationDate": ""} == {
        "ExpirationDate": "", "ProtectionEnabled": True, "TaskArn": task,
    }  # fmt: skip
    assert protected[1]["protection"]["ExpirationDate"].endswith("Z")
    assert unprotected == none
    assert (late[0], late[1]["error"]["Code"], late[1]["error"]["Arn"]) == (400, "InvalidParameterException", task)
    assert (without[0], without[1]["error"]["Code"]) == (400, "InvalidParameterException")
    assert (unknown[0], unknown[1]["error"]["Code"]) == (400, "InvalidParameterException")
    assert len(stack.aws.calls("UpdateTaskProtection")) >= 3
    stack.ecs.delete_service(cluster=CLUSTER, service="agent", force=True)


def create_with(stack: Stack, name: str, definition: str) -> None:
    stack.ecs.create_service(
        cluster=CLUSTER, serviceName=name, taskDefinition=definition, desiredCount=1, launchType="FARGATE",
        networkConfiguration=NETWORK,
    )  # fmt: skip


def agent_url(stack: Stack, arn: str) -> str:
    return f"{stack.aws.endpoint_url}/_fargate_local/api/{arn.rpartition('/')[2]}-main/task-protection/v1/state"


def test_the_agent_says_what_ecs_refuses(stack: Stack):
    alone = stack.run(stack.register("alone", taskRoleArn=ROLE, container={"command": ["sleep", "30"]}))["taskArn"]
    put = httpx.put(agent_url(stack, alone), json={"ProtectionEnabled": True})
    assert (put.status_code, put.json()["failure"]["Reason"]) == (200, "TASK_NOT_VALID")
    bare = stack.run(stack.register(container={"command": ["sleep", "30"]}))["taskArn"]
    got = httpx.get(agent_url(stack, bare))
    assert (got.status_code, got.json()["error"]["Code"]) == (403, "AccessDeniedException")
    lost = httpx.get(agent_url(stack, "task/nothing"))
    assert (lost.status_code, lost.json()["error"]["Code"]) == (404, "ResourceNotFoundException")
    stack.aws.add_fault({"match": {"operation": "UpdateTaskProtection"}, "error": "ThrottlingException", "times": 1})
    throttled = httpx.put(agent_url(stack, alone), json={"ProtectionEnabled": True})
    assert (throttled.status_code, throttled.json()["error"]["Code"]) == (400, "ThrottlingException")
    for arn in (alone, bare):
        stack.ecs.stop_task(cluster=CLUSTER, task=arn)


TRAP = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("up", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize(("given", "least", "most"), [(2, 2.0, 6.0), (4, 4.0, 9.0)])
def test_a_services_task_has_stop_timeout_after_sigterm(stack: Stack, given: int, least: float, most: float):
    name = f"timeout-{given}"
    (task,) = service_of(stack, name, 1, container={"command": ["python", "-c", TRAP], "stopTimeout": given})
    until(lambda: stack.lines({"taskArn": task}), lambda lines: lines == ["up"])
    scale(stack, name, 0)
    stopped = stack.until_status(task, "STOPPED")
    assert stopped["containers"][0]["exitCode"] == 137
    took = (stopped["executionStoppedAt"] - stopped["stoppingAt"]).total_seconds()
    assert least <= took < most
    assert stack.lines({"taskArn": task}) == ["up", "asked"]


PARENT = """
import signal, subprocess, sys
work = "import time; print('working', flush=True); time.sleep(2); print('done')"
child = subprocess.Popen([sys.executable, "-c", work])
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("child", child.wait(), flush=True)
"""


def test_sigterm_goes_to_the_first_process_only_as_in_a_container(stack: Stack):
    task = stack.run(stack.register(container={"command": ["python", "-c", PARENT]}))["taskArn"]
    stack.until_status(task, "RUNNING")
    until(lambda: stack.lines({"taskArn": task}), lambda lines: "working" in lines)
    stack.ecs.stop_task(cluster=CLUSTER, task=task)
    assert stack.until_status(task, "STOPPED")["containers"][0]["exitCode"] == 0
    assert stack.lines({"taskArn": task}) == ["working", "asked", "done", "child 0"]
