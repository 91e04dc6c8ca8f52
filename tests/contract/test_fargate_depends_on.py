"""`dependsOn`, as the ECS agent resolves it (aws/amazon-ecs-agent, agent/engine/dependencygraph)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import CLUSTER, Stack, until

NAMES = iter(f"depends-{number}" for number in range(100))


def container(name: str, line: str, *needs: tuple[str, str], **more: Any) -> dict[str, Any]:
    depends_on = [{"containerName": needed, "condition": condition} for needed, condition in needs]
    return {"name": name, "image": "echo", "command": ["sh", "-c", line], "dependsOn": depends_on, **more}


def ended(stack: Stack, *containers: dict[str, Any]) -> dict[str, Any]:
    arn = stack.register(next(NAMES), containerDefinitions=list(containers))
    return stack.until_status(stack.run(arn)["taskArn"], "STOPPED")


def codes(task: dict[str, Any]) -> dict[str, int | None]:
    return {one["name"]: one.get("exitCode") for one in task["containers"]}


@pytest.mark.parametrize(("condition", "code"), [("SUCCESS", 0), ("COMPLETE", 1), ("COMPLETE", 0), ("START", 1)])
def test_a_condition_that_is_met_starts_the_other(stack: Stack, condition: str, code: int) -> None:
    task = ended(
        stack, container("init", f"exit {code}", essential=False), container("app", "sleep 0.3", ("init", condition))
    )
    assert codes(task) == {"init": code, "app": 0}
    assert task["stopCode"] == "EssentialContainerExited"


def test_an_essential_container_whose_dependency_failed_never_starts(stack: Stack) -> None:
    task = ended(stack, container("init", "exit 1", essential=False), container("app", "exit 0", ("init", "SUCCESS")))
    assert codes(task) == {"init": 1, "app": 143}
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
    assert [one.get("reason") for one in task["containers"]] == [
        None,
        "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [init(echo) "
        "(STOPPED->RUNNING) - Exit: 1] for target [app(echo) (NONE->RUNNING)] as dependency did not exit successfully.",
    ]
    assert "startedAt" not in task


def test_a_container_that_is_not_essential_is_left_out_when_its_dependency_failed(stack: Stack) -> None:
    task = ended(
        stack,
        container("init", "exit 1", essential=False),
        container("side", "exit 0", ("init", "SUCCESS"), essential=False),
        container("app", "exit 0"),
    )
    assert codes(task) == {"init": 1, "side": 143, "app": 0}
    assert task["stopCode"] == "EssentialContainerExited"


def test_of_a_chain_nothing_starts_after_the_first_failure(stack: Stack) -> None:
    task = ended(
        stack,
        container("fetch", "exit 7", essential=False),
        container("migrate", "exit 0", ("fetch", "SUCCESS"), essential=False),
        container("app", "exit 0", ("migrate", "COMPLETE")),
    )
    assert codes(task) == {"fetch": 7, "migrate": 143, "app": 143}
    assert task["containers"][2]["reason"].endswith("because dependency will never start")


def checked(line: str) -> dict[str, Any]:
    return {"essential": False, "healthCheck": {"command": ["CMD-SHELL", line], "interval": 5}, "startTimeout": 2}


def test_a_healthy_dependency_is_waited_for(stack: Stack) -> None:
    task = ended(
        stack, container("side", "sleep 60", **checked("true")), container("app", "exit 0", ("side", "HEALTHY"))
    )
    assert codes(task)["app"] == 0


def test_a_dependency_that_does_not_become_healthy_in_its_start_timeout_fails_the_task(stack: Stack) -> None:
    task = ended(
        stack, container("side", "sleep 60", **checked("false")), container("app", "exit 0", ("side", "HEALTHY"))
    )
    assert codes(task)["app"] == 143
    assert task["containers"][1]["reason"].endswith("has timed out.")


def test_a_task_that_waits_for_a_dependency_can_be_stopped(stack: Stack) -> None:
    arn = stack.register(
        next(NAMES),
        containerDefinitions=[
            container("init", "sleep 60", essential=False),
            container("app", "exit 0", ("init", "SUCCESS")),
        ],
    )
    task = stack.run(arn)["taskArn"]
    until(lambda: stack.task(task)["containers"][0]["lastStatus"], lambda status: status == "RUNNING")
    stack.ecs.stop_task(cluster=CLUSTER, task=task)
    stopped = stack.until_status(task, "STOPPED")
    assert stopped["stopCode"] == "UserInitiated"
    assert codes(stopped)["app"] is None
