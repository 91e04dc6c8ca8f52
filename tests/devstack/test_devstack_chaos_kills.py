from __future__ import annotations

from typing import Any

import pytest

from devstack.chaos import clocks
from devstack.chaos.clocks import LaunchClocks, active
from devstack.chaos.kills import Supervisor
from devstack.chaos.plans import PlannedKill, Rule


class FakeStack:
    """Knows which components run, and writes down what is done to them."""

    def __init__(self, *names: str) -> None:
        self.running = set(names)
        self.done: list[str] = []
        self.processes = self

    def kill(self, names: set[str]) -> None:
        self.running -= names
        self.done += [f"kill {name}" for name in names]

    def start_component(self, name: str) -> None:
        self.running.add(name)
        self.done.append(f"start {name}")

    def is_running(self, name: str) -> bool:
        return name in self.running


def supervisor(stack: Any, *plan: PlannedKill) -> Supervisor:
    return Supervisor(stack, ("scheduler", "triggerer-1"), lambda words: None, list(plan))


def test_a_component_is_killed_at_its_time_and_started_again_when_it_was_down_long_enough() -> None:
    stack = FakeStack("scheduler", "triggerer-1")
    kills = supervisor(stack, PlannedKill(2.0, "triggerer-1", 1.5))
    for seconds in (-1.0, 1.9):
        kills.tick(seconds)
    assert stack.done == []
    kills.tick(2.1)
    assert stack.done == ["kill triggerer-1"]
    kills.tick(3.5)
    assert stack.done == ["kill triggerer-1"]
    kills.tick(3.7)
    assert stack.done == ["kill triggerer-1", "start triggerer-1"]
    assert (kills.kills, kills.crashes) == ({"triggerer-1": 1}, {})


def test_what_is_down_already_is_not_killed_once_more() -> None:
    stack = FakeStack("scheduler", "triggerer-1")
    kills = supervisor(stack, PlannedKill(1.0, "scheduler", 5.0), PlannedKill(2.0, "scheduler", 5.0))
    for seconds in (1.0, 2.0, 6.0):
        kills.tick(seconds)
    assert stack.done == ["kill scheduler", "start scheduler"]
    assert kills.kills == {"scheduler": 1}


def test_a_component_that_ends_by_itself_is_started_again_and_counted() -> None:
    stack = FakeStack("triggerer-1")
    kills = supervisor(stack)
    kills.tick(0.0)
    assert stack.done == ["kill scheduler", "start scheduler"]
    assert (kills.kills, kills.crashes) == ({}, {"scheduler": 1})


def test_settling_starts_what_is_down_and_forgets_the_kills_to_come() -> None:
    stack = FakeStack("scheduler", "triggerer-1")
    kills = supervisor(stack, PlannedKill(1.0, "scheduler", 60.0), PlannedKill(50.0, "triggerer-1", 1.0))
    kills.tick(1.0)
    kills.settle()
    kills.tick(60.0)
    assert stack.done == ["kill scheduler", "start scheduler"]


class FakeDoor:
    """A side door that knows which clusters were asked to run tasks, and which rules there are."""

    def __init__(self) -> None:
        self.clusters: list[str] = []
        self.rules: dict[str, Any] = {}
        self.cleared = 0

    def calls(self, operation: str) -> list[dict[str, Any]]:
        assert operation == "RunTask"
        return [{"request": {"cluster": cluster}} for cluster in self.clusters]

    def add_fault(self, rule: Any) -> str:
        fault_id = f"fault-{len(self.rules) + 1}"
        self.rules[fault_id] = rule
        return fault_id

    def remove_fault(self, fault_id: str) -> None:
        del self.rules[fault_id]

    def clear_faults(self) -> None:
        self.rules.clear()
        self.cleared += 1


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    made = FakeTime()
    monkeypatch.setattr(clocks, "time", made)
    return made


def test_a_clock_runs_from_the_first_run_task_call_of_its_cluster(clock: FakeTime) -> None:
    door: Any = FakeDoor()
    seen = LaunchClocks(door)
    seen.look(("a", "b"))
    assert (seen.since("a"), seen.since_all(("a", "b"))) == (None, None)
    door.clusters += ["a"]
    clock.now = 102.0
    seen.look(("a", "b"))
    door.clusters += ["a", "b"]
    clock.now = 105.0
    seen.look(("a", "b"))
    clock.now = 109.0
    assert (seen.since("a"), seen.since("b"), seen.since_all(("a", "b"))) == (7.0, 4.0, 4.0)


def test_a_fault_ends_some_time_after_the_first_launch_and_none_outlives_the_block(clock: FakeTime) -> None:
    door: Any = FakeDoor()
    seen = LaunchClocks(door)
    rules = [Rule({"of": "a"}, 10, "a"), Rule({"of": "all"}, 10), Rule({"of": "ever"}, None, "a")]
    with active(door, rules) as faults:
        assert [rule["of"] for rule in door.rules.values()] == ["a", "all", "ever"]
        door.clusters += ["a"]
        seen.look(("a", "b"))
        clock.now += 10
        door.clusters += ["b"]
        seen.look(("a", "b"))
        faults.advance(seen, ("a", "b"))
        assert [rule["of"] for rule in door.rules.values()] == ["all", "ever"]
        clock.now += 10
        faults.advance(seen, ("a", "b"))
        assert [rule["of"] for rule in door.rules.values()] == ["ever"]
    assert (door.rules, door.cleared) == ({}, 1)


def test_a_rule_with_a_beginning_comes_that_long_after_the_first_launch(clock: FakeTime) -> None:
    door: Any = FakeDoor()
    seen, there = LaunchClocks(door), []
    with active(door, [Rule({"of": "a"}, 70.0, "a", 10.0)]) as faults:
        faults.advance(seen, ("a",))
        door.clusters += ["a"]
        seen.look(("a",))
        for seconds in (0.0, 9.9, 0.2, 59.8, 0.2):
            clock.now += seconds
            faults.advance(seen, ("a",))
            there.append(len(door.rules))
    assert there == [0, 0, 1, 1, 0]
