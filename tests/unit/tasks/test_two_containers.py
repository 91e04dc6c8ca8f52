"""Who is blamed when a task has two containers: every combination, against rules that are written down a second time.

``app`` is the pipeline's container, ``side`` the other one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from stopped import ESSENTIAL, ran, task

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.containers import ContainerRoles, Dependency
from ecs_feature.tasks.outcomes import Kind

OOM = "137 out of memory"
MEMORY_REASON = "OutOfMemoryError: Container killed due to memory usage"
CODES = (0, 1, OOM, 143, None)
STOP_CODES = (
    "",
    "EssentialContainerExited",
    "TaskFailedToStart",
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
    "InfrastructureHealth",
)
REASONS = {"EssentialContainerExited": ESSENTIAL, "TaskFailedToStart": "Task failed to start"}
# Who waits for whom, and until when.
WAITS = [("", "")] + [(who, until) for who in ("app", "side") for until in ("START", "COMPLETE", "SUCCESS", "HEALTHY")]
ESSENTIALS = (frozenset({"app", "side"}), frozenset({"app"}), frozenset({"side"}))


@dataclass(frozen=True)
class Case:
    stop_code: str
    app: int | str | None
    side: int | str | None
    essential: frozenset[str]
    waiting: str
    until: str

    def task(self) -> EcsTask:
        containers = [
            ran(137, MEMORY_REASON, name) if code == OOM else ran(code, name=name)  # type: ignore[arg-type]
            for name, code in (("app", self.app), ("side", self.side))
        ]
        started = self.stop_code != "TaskFailedToStart"
        return task(self.stop_code, REASONS.get(self.stop_code, ""), *containers, started=started)

    def roles(self) -> ContainerRoles:
        needed = "side" if self.waiting == "app" else "app"
        return ContainerRoles(self.essential, (Dependency(self.waiting, needed, self.until),) if self.waiting else ())


STOPPED = {
    "UserInitiated": Kind.STOPPED_BY_USER,
    "ServiceSchedulerInitiated": Kind.STOPPED_BY_ECS,
    "InfrastructureHealth": Kind.STOPPED_BY_ECS,
    "SpotInterruption": Kind.SPOT_INTERRUPTION,
    "TerminationNotice": Kind.SPOT_INTERRUPTION,
}


def blamed(case: Case) -> tuple[Kind, str | None]:
    """The first rule that applies; the container is None where it does not matter who is named."""
    never = case.stop_code == "TaskFailedToStart"
    app, side, both = case.app, case.side, "side" in case.essential
    waited = case.waiting == "app" and app in (143, None)
    success, healthy = waited and case.until == "SUCCESS", waited and case.until == "HEALTHY" and never
    rules: list[tuple[bool, Kind, str | None]] = [
        # When ECS says that it, Spot or a user stopped the task, no container is to blame.
        (case.stop_code in STOPPED, STOPPED.get(case.stop_code, Kind.LOST), None),
        # A container whose success or health app needed, and that ended before app could run, is.
        ((success or healthy) and side == OOM, Kind.OUT_OF_MEMORY, "side"),
        (success and side == 1, Kind.APPLICATION_FAILURE, "side"),
        (healthy and side in (0, 1), Kind.APPLICATION_FAILURE, "side"),
        (success and side == 143, Kind.APPLICATION_FAILURE, "side"),
        # app's own words come before those of others, but memory that an essential one lacked may be why app failed.
        (app == OOM, Kind.OUT_OF_MEMORY, "app"),
        (app == 0 and never, Kind.START_FAILED_TRANSIENT, None),
        (app == 0, Kind.SUCCEEDED, "app"),
        (both and side == OOM, Kind.OUT_OF_MEMORY, "side"),
        (app == 1, Kind.APPLICATION_FAILURE, "app"),
        # app was stopped, or its code is not known: an essential container that ended took it along.
        (both and side == 1, Kind.APPLICATION_FAILURE, "side"),
        (both and side == 0 and app == 143 and not never, Kind.APPLICATION_FAILURE, "side"),
        # Nobody else can have.
        (never and not (both and app == 143 and side in (143, None) and case.until == "SUCCESS" and not waited),
         Kind.START_FAILED_TRANSIENT, None),
        (app == 143, Kind.APPLICATION_FAILURE, "app"),
        (True, Kind.LOST, None),
    ]  # fmt: skip
    return next((kind, container) for applies, kind, container in rules if applies)


@pytest.mark.parametrize("stop_code", STOP_CODES)
@pytest.mark.parametrize(("waiting", "until"), WAITS, ids=[f"{who} {until}" for who, until in WAITS])
def test_of_two_containers_the_right_one_is_blamed(stop_code: str, waiting: str, until: str) -> None:
    wrong = []
    for app, side, essential in itertools.product(CODES, CODES, ESSENTIALS):
        case = Case(stop_code, app, side, essential, waiting, until)
        outcome = outcomes.of_task(case.task(), main_container="app", roles=case.roles())
        kind, container = blamed(case)
        if outcome.kind is not kind or container not in (None, outcome.container):
            wrong.append(f"{case}: {outcome.kind} of {outcome.container}, not {kind} of {container}")
    assert not wrong, "\n".join(wrong)


AGENT_SAID = (
    "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [init (STOPPED->"
    "RUNNING) - Exit: 1] for target [app (NONE->RUNNING)]"
)
INIT = ContainerRoles(frozenset({"app"}), (Dependency("app", "init", "SUCCESS"),))


@pytest.mark.parametrize("stop_code", ["TaskFailedToStart", "EssentialContainerExited"])
@pytest.mark.parametrize("code", [143, None])
@pytest.mark.parametrize("said", [AGENT_SAID, AGENT_SAID[:70] + "...", ""], ids=["whole", "cut", "not told"])
@pytest.mark.parametrize("started", [True, False])
def test_an_init_container_that_failed_is_the_cause(stop_code: str, code: int | None, said: str, started: bool) -> None:
    ended = task(stop_code, "Task failed to start", ran(1, name="init"), ran(code, said, "app"), started=started)
    outcome = outcomes.of_task(ended, main_container="app", roles=INIT)
    assert (outcome.kind, outcome.container, outcome.exit_code) == (Kind.APPLICATION_FAILURE, "init", 1)
    assert outcome.sentence("UA") == "Shard UA: container init exited with code 1; app depends on it and never started."


def test_the_agents_words_are_enough_when_the_task_definition_is_not_known() -> None:
    ended = task("TaskFailedToStart", "Task failed to start", ran(1, name="init"), ran(143, AGENT_SAID, "app"))
    assert outcomes.of_task(ended, main_container="app").container == "init"


CHAIN = ContainerRoles(
    frozenset({"app"}), (Dependency("app", "migrate", "COMPLETE"), Dependency("migrate", "fetch", "SUCCESS"))
)


def test_of_a_chain_the_container_that_began_it_is_named() -> None:
    containers = ran(143, name="app"), ran(143, name="migrate"), ran(7, name="fetch")
    outcome = outcomes.of_task(
        task("TaskFailedToStart", "", *containers, started=False), main_container="app", roles=CHAIN
    )
    assert (outcome.kind, outcome.container, outcome.exit_code) == (Kind.APPLICATION_FAILURE, "fetch", 7)
    assert outcome.hint == "migrate depends on it and never started"


def test_containers_that_wait_for_each_other_end_the_search() -> None:
    circle = ContainerRoles(None, (Dependency("app", "side", "SUCCESS"), Dependency("side", "app", "SUCCESS")))
    ended = task("TaskFailedToStart", "", ran(None, name="app"), ran(None, name="side"), started=False)
    assert outcomes.of_task(ended, main_container="app", roles=circle).kind is Kind.START_FAILED_TRANSIENT


@pytest.mark.parametrize("until", ["START", "COMPLETE", "SUCCESS", "HEALTHY"])
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("CannotPullContainerError: acme/init:1: not found", Kind.START_FAILED_PERMANENT),
        ("CannotPullContainerError: dial tcp: i/o timeout", Kind.START_FAILED_TRANSIENT),
    ],
)
def test_a_dependency_that_cannot_start_gives_its_own_reason(until: str, reason: str, kind: Kind) -> None:
    roles = ContainerRoles(frozenset({"app"}), (Dependency("app", "init", until),))
    ended = task("TaskFailedToStart", "", ran(143, name="app"), ran(None, reason, "init"), started=False)
    outcome = outcomes.of_task(ended, main_container="app", roles=roles)
    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_a_container_with_a_reason_of_its_own_did_not_wait() -> None:
    pull = "CannotPullContainerError: acme/app:1: not found"
    ended = task("TaskFailedToStart", "Task failed to start", ran(143, name="init"), ran(None, pull, "app"))
    assert outcomes.of_task(ended, main_container="app", roles=INIT).kind is Kind.START_FAILED_PERMANENT


def test_an_essential_sidecar_that_cannot_be_pulled_gives_the_reason() -> None:
    pull = "CannotPullContainerError: acme/side:1: not found"
    ended = task("TaskFailedToStart", "", ran(None, name="app"), ran(None, pull, "side"), started=False)
    for essential, kind in (({"app", "side"}, Kind.START_FAILED_PERMANENT), ({"app"}, Kind.START_FAILED_TRANSIENT)):
        roles = ContainerRoles(frozenset(essential))
        assert outcomes.of_task(ended, main_container="app", roles=roles).kind is kind


def test_what_the_dependency_of_a_container_that_does_not_matter_did_is_not_blamed() -> None:
    roles = ContainerRoles(frozenset({"app"}), (Dependency("report", "probe", "SUCCESS"),))
    containers = ran(143, name="app"), ran(143, name="report"), ran(1, name="probe")
    outcome = outcomes.of_task(
        task("EssentialContainerExited", ESSENTIAL, *containers), main_container="app", roles=roles
    )
    assert outcome.container == "app"


def test_the_dependency_of_another_essential_container_is() -> None:
    roles = ContainerRoles(frozenset({"app", "proxy"}), (Dependency("proxy", "init", "SUCCESS"),))
    containers = ran(143, name="app"), ran(143, name="proxy"), ran(1, name="init")
    outcome = outcomes.of_task(
        task("EssentialContainerExited", ESSENTIAL, *containers), main_container="app", roles=roles
    )
    assert (outcome.container, outcome.hint) == ("init", "proxy depends on it and never started")


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize(
    ("agent", "blamed"),
    [(ran(1, name="agent"), "agent"), (ran(0, name="agent"), "agent"), (ran(143, name="agent"), "init")],
    ids=["failed", "ended", "was stopped, too"],
)
def test_an_init_container_that_was_stopped_is_blamed_only_when_no_essential_one_ended(
    agent: EcsContainer, blamed: str, started: bool
) -> None:
    roles = ContainerRoles(frozenset({"app", "agent"}), INIT.dependencies)
    containers = ran(None, name="app"), agent, ran(143, name="init")
    ended = task("EssentialContainerExited", ESSENTIAL, *containers, started=started)
    outcome = outcomes.of_task(ended, main_container="app", roles=roles)
    assert (outcome.kind, outcome.container) == (Kind.APPLICATION_FAILURE, blamed)


def test_a_container_that_ended_by_itself_had_what_it_waited_for() -> None:
    roles = ContainerRoles(frozenset({"app", "agent"}), (Dependency("agent", "proxy", "HEALTHY"),))
    containers = ran(143, name="app"), ran(1, name="agent"), ran(0, name="proxy")
    ended = task("TaskFailedToStart", "", *containers, started=False)
    assert outcomes.of_task(ended, main_container="app", roles=roles).container == "agent"


@pytest.mark.parametrize(("reason", "kind"), [(MEMORY_REASON, Kind.OUT_OF_MEMORY), ("", Kind.APPLICATION_FAILURE)])
def test_an_init_container_that_ran_out_of_memory_ended_by_itself_and_comes_before_others(
    reason: str, kind: Kind
) -> None:
    """Without the reason it was killed, as all are whom another container took along."""
    roles = ContainerRoles(frozenset({"app", "agent"}), (Dependency("app", "init", "SUCCESS"),))
    containers = ran(None, name="app"), ran(137, reason, name="init"), ran(1, name="agent")
    outcome = outcomes.of_task(
        task("EssentialContainerExited", ESSENTIAL, *containers), main_container="app", roles=roles
    )
    assert (outcome.kind, outcome.container) == (kind, "init" if reason else "agent")


STUCK = outcomes.STOP_REASON_STUCK
WAITED = "it waited for container init: see what that does, or raise start_timeout"


@pytest.mark.parametrize(
    ("until", "init", "health", "kind", "hint"),
    [
        ("SUCCESS", 1, "UNKNOWN", Kind.APPLICATION_FAILURE, "app depends on it and never started"),
        ("SUCCESS", 143, "UNKNOWN", Kind.STUCK, WAITED),
        ("COMPLETE", 143, "UNKNOWN", Kind.STUCK, WAITED),
        ("HEALTHY", 143, "UNKNOWN", Kind.STUCK, WAITED),
        ("HEALTHY", 143, "UNHEALTHY", Kind.STUCK, WAITED),
        ("HEALTHY", 0, "UNKNOWN", Kind.APPLICATION_FAILURE, "app depends on it and never started"),
        ("START", 143, "UNKNOWN", Kind.STUCK, "if it stays, look at the subnets' free addresses and the image's size"),
    ],
)
def test_a_task_that_was_stuck_says_for_what_it_waited(
    until: str, init: int, health: str, kind: Kind, hint: str
) -> None:
    roles = ContainerRoles(frozenset({"app"}), (Dependency("app", "init", until),))
    ended: Any = task("UserInitiated", STUCK, ran(None, name="app"), ran(init, name="init"), started=False)
    outcome = outcomes.of_task(ended, main_container="app", roles=roles)
    assert (outcome.kind, outcome.hint) == (kind, hint)


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        (
            outcomes.STOP_REASON_TIMEOUT,
            "container app is not essential, so its end does not end the task: make it essential",
        ),
        (STUCK, "if it stays, look at the subnets' free addresses and the image's size"),
    ],
)
def test_a_task_that_timed_out_because_its_container_is_not_essential_says_so(reason: str, hint: str) -> None:
    ended = task("UserInitiated", reason, ran(0, name="app"), ran(143, name="side"))
    roles = ContainerRoles(frozenset({"side"}))
    assert outcomes.of_task(ended, main_container="app", roles=roles).hint == hint
    for others in (ContainerRoles(), ContainerRoles(frozenset({"app"}))):
        outcome = outcomes.of_task(ended, main_container="app", roles=others)
        assert "essential" not in outcome.hint


def test_a_user_who_stops_a_task_is_not_overruled_by_its_init_container() -> None:
    ended = task("UserInitiated", "Task stopped by user", ran(None, name="app"), ran(1, name="init"), started=False)
    assert outcomes.of_task(ended, main_container="app", roles=INIT).kind is Kind.STOPPED_BY_USER


@pytest.mark.parametrize(
    ("stop_code", "reason"),
    [
        ("InfrastructureHealth", ""),
        ("InfrastructureHealth", "Task stopped because the underlying infrastructure is unhealthy"),
        ("UserInitiated", "Task stopped during instance draining."),
        ("", "Task stopped during instance draining"),
    ],
)
def test_what_happened_to_the_host_is_nobodys_fault(stop_code: str, reason: str) -> None:
    outcome = outcomes.of_task(task(stop_code, reason, ran(1)))
    assert (outcome.kind, outcome.payer) == (Kind.STOPPED_BY_ECS, outcomes.Payer.INFRASTRUCTURE)


def test_roles_are_read_from_a_task_definition() -> None:
    definition = {
        "containerDefinitions": [
            {"name": "init", "essential": False},
            {"name": "app", "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]},
        ]
    }
    assert ContainerRoles.of(definition) == INIT
    assert ContainerRoles.of({}) == ContainerRoles()
    assert not INIT.decides("init")
    assert ContainerRoles().decides("init")


@pytest.mark.parametrize(
    ("dependencies", "ends"),
    [
        ([], False),
        ([("upload", "app", "SUCCESS")], True),
        ([("upload", "app", "COMPLETE")], True),
        ([("upload", "app", "START")], False),
        ([("upload", "pack", "SUCCESS"), ("pack", "app", "SUCCESS")], True),
        ([("pack", "app", "SUCCESS"), ("app", "pack", "SUCCESS")], False),
    ],
)
def test_a_container_ends_the_task_when_an_essential_one_waits_for_its_end(
    dependencies: list[tuple[str, str, str]], ends: bool
) -> None:
    roles = ContainerRoles(frozenset({"upload"}), tuple(Dependency(*one) for one in dependencies))
    assert roles.ends_with("app") is ends
