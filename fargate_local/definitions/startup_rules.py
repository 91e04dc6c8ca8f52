"""Rules for the order of starts, time-outs, health checks and restarts."""

from __future__ import annotations

from typing import Final

from fargate_local import limits
from fargate_local.definitions.network_rules import has_circle
from fargate_local.definitions.rule import FARGATE, Definition, Rule, Rules, Sentences

RULES = Rules()

MIN_TIMEOUT_SECONDS: Final = 2
RESTART_SECONDS: Final = (60, 1800)
MAX_IGNORED_EXIT_CODES: Final = 50

# AmazonECS/latest/APIReference/API_HealthCheck: lowest and highest value
HEALTH_CHECK: Final = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}


@RULES.check("ContainerDependency.containerName", "ContainerDefinition.dependsOn", says="a container of the task")
def dependency_exists(task: Definition) -> Sentences:
    for _, name in task.each("dependsOn[].containerName"):
        if name not in task.names:
            yield f"Cannot depend on container + '{name}' because it does not exist"


@RULES.check("ContainerDependency.condition", says="COMPLETE and SUCCESS are not for essential containers")
def dependency_may_end(task: Definition) -> Sentences:
    for _, dependency in task.each("dependsOn[]"):
        needed = task.container(dependency["containerName"]) or {}
        if dependency["condition"] in ("COMPLETE", "SUCCESS") and needed.get("essential", True):
            yield "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"


@RULES.check("ContainerDependency.condition", says="HEALTHY needs a health check")
def dependency_has_health_check(task: Definition) -> Sentences:
    for _, dependency in task.each("dependsOn[]"):
        needed = task.container(dependency["containerName"]) or {}
        if dependency["condition"] == "HEALTHY" and "healthCheck" not in needed:
            yield "A dependency container with HEALTHY condition must have health check configured"


@RULES.check("ContainerDependency.containerName", says="without a circle", guide="task_definition_parameters")
def dependency_circle(task: Definition) -> Sentences:
    graph = {
        name: {dependency["containerName"] for dependency in container.get("dependsOn", [])}
        for name, container in zip(task.names, task.containers, strict=True)
    }
    if has_circle(graph):
        yield "Container dependencies should not have a cycle"


def _timeout_rules(field: str, word: str) -> list[Rule]:
    member = f"ContainerDefinition.{field}"

    def shortest(task: Definition) -> Sentences:
        for name, seconds in task.each(field):
            if seconds < MIN_TIMEOUT_SECONDS:
                yield f"Granular {word} timeout on container '{name}' must be at least {MIN_TIMEOUT_SECONDS} seconds."

    def longest(task: Definition) -> Sentences:
        for _, seconds in task.each(field):
            if seconds > limits.MAX_STOP_TIMEOUT_SECONDS:
                yield (
                    f"Tasks using the Fargate launch type must have a container {word} timeout of at most "
                    f"{limits.MAX_STOP_TIMEOUT_SECONDS} seconds."
                )

    most = limits.MAX_STOP_TIMEOUT_SECONDS
    return [
        Rule(f"min_{field}", (member,), f"at least {MIN_TIMEOUT_SECONDS} seconds", shortest),
        Rule(f"fargate_max_{field}", (member,), f"on Fargate at most {most} seconds", longest, FARGATE),
    ]


RULES.extend(_timeout_rules("startTimeout", "start"))
RULES.extend(_timeout_rules("stopTimeout", "stop"))


@RULES.check("HealthCheck.command", "ContainerDefinition.healthCheck", says="not empty, nor CMD or CMD-SHELL alone")
def health_check_command(task: Definition) -> Sentences:
    for name, check in task.each("healthCheck"):
        if not [word for word in check["command"] if word not in ("CMD", "CMD-SHELL")]:
            yield f"Health check command must not be empty for container '{name}'"


RULES.not_checked(
    "HealthCheck.command", says="begins with CMD or CMD-SHELL",
    why="ECS takes others: AWS's own definition of the OpenTelemetry collector has the command /healthcheck",
)  # fmt: skip


def _health_check_rule(field: str, low: int, high: int) -> Rule:
    def check(task: Definition) -> Sentences:
        for name, value in task.each(f"healthCheck.{field}"):
            if value < low:
                yield (
                    f"Health check {field} must be greater than or equal to the minimum allowed value {low} for "
                    f"container '{name}'"
                )
            if value > high:
                yield (
                    f"Health check {field} must be less than or equal to the maximum allowed value {high} for "
                    f"container '{name}'"
                )

    return Rule(f"health_check_{field}", (f"HealthCheck.{field}",), f"from {low} to {high}", check)


RULES.extend(_health_check_rule(field, low, high) for field, (low, high) in HEALTH_CHECK.items())


@RULES.check("ContainerRestartPolicy.restartAttemptPeriod", "ContainerDefinition.restartPolicy",
             says="from 60 to 1800 seconds")  # fmt: skip
def restart_period(task: Definition) -> Sentences:
    for name, seconds in task.each("restartPolicy.restartAttemptPeriod"):
        if not RESTART_SECONDS[0] <= seconds <= RESTART_SECONDS[1]:
            yield (
                f"The 'restartAttemptPeriod' setting for container '{name}' must be between {RESTART_SECONDS[0]} and "
                f"{RESTART_SECONDS[1]}."
            )


@RULES.check("ContainerRestartPolicy.ignoredExitCodes", says="at most 50")
def ignored_exit_codes(task: Definition) -> Sentences:
    for name, codes in task.each("restartPolicy.ignoredExitCodes"):
        if len(codes) > MAX_IGNORED_EXIT_CODES:
            yield (
                f"The 'ignoredExitCodes' setting for container '{name}' can have at most {MAX_IGNORED_EXIT_CODES} "
                "codes."
            )


RULES.not_checked("ContainerRestartPolicy.enabled", says="true or false", why="botocore's model checks the type")
