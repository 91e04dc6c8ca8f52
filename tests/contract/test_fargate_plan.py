"""The service scheduler's decision, as a table."""

from __future__ import annotations

import pytest

from fargate_local.engine.plan import Plan, TaskView, plan


def view(id: str, at: float, *, primary: bool = True, state: str = "healthy", protected: bool = False) -> TaskView:
    return TaskView(
        id=id, primary=primary, running=state != "pending", healthy=state == "healthy",
        unhealthy=state == "unhealthy", created_at=at, protected=protected,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tasks", "desired", "percents", "expected"),
    [
        pytest.param([], 0, (100, 200), Plan(0, (), ()), id="nothing wanted, nothing there"),
        pytest.param([], 3, (100, 200), Plan(3, (), ()), id="from zero"),
        pytest.param([view("a", 1)], 3, (100, 200), Plan(2, (), ()), id="the missing ones"),
        pytest.param(
            [view("a", 1), view("b", 2), view("c", 3)], 1, (100, 200), Plan(0, ("c", "b"), ()), id="newest go first"
        ),
        pytest.param(
            [view("a", 1), view("b", 2, protected=True), view("c", 3, protected=True)], 2, (100, 200),
            Plan(0, ("a",), ()), id="the unprotected go first",
        ),
        pytest.param(
            [view("a", 1, protected=True), view("b", 2, protected=True), view("c", 3)], 0, (100, 200),
            Plan(0, ("c",), (), ("a", "b")), id="the protected stay",
        ),
        pytest.param(
            [view("a", 1, primary=False, protected=True), view("b", 2, primary=False), view("c", 3)], 1, (100, 200),
            Plan(0, ("b",), (), ("a",)), id="those of an old deployment, too",
        ),
        pytest.param(
            [view("a", 1, primary=False, protected=True), view("b", 2, primary=False, protected=True)], 2, (100, 100),
            Plan(0, (), (), ("a", "b")), id="and a deployment without room for more waits for them",
        ),
        pytest.param(
            [view("a", 1, protected=True, state="unhealthy"), view("b", 2)], 1, (100, 200), Plan(0, (), ("a",)),
            id="an unhealthy one is replaced, protected or not",
        ),
        pytest.param(
            [view("a", 1, state="pending"), view("b", 2)], 1, (100, 200), Plan(0, ("a",), ()),
            id="those not running go before the newest",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2)], 2, (100, 200), Plan(1, (), ()),
            id="an unhealthy one stays while its replacement starts",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2), view("c", 3, state="pending")], 2, (100, 200),
            Plan(0, (), ()), id="and until that is healthy",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2), view("c", 3)], 2, (100, 200), Plan(0, (), ("a",)),
            id="and then it stops",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2, state="unhealthy")], 2, (100, 200), Plan(2, (), ()),
            id="all unhealthy, none stops",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2, state="unhealthy")], 1, (100, 200), Plan(1, (), ("a",)),
            id="a replacement that is unhealthy, too",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2, state="unhealthy")], 2, (100, 100), Plan(0, (), ("a",)),
            id="without room for a replacement, unhealthy ones stop one by one",
        ),
        pytest.param(
            [view("b", 2, state="unhealthy"), view("c", 3, state="pending")], 2, (100, 100), Plan(0, (), ()),
            id="and the next when the replacement of the last has started",
        ),
        pytest.param(
            [view("a", 1, state="unhealthy"), view("b", 2)], 0, (100, 200), Plan(0, ("b",), ("a",)),
            id="to zero, unhealthy ones, too",
        ),
        pytest.param(
            [view("a", 1, primary=False), view("b", 2, primary=False)], 2, (100, 200), Plan(2, (), ()),
            id="a deployment starts the new ones first",
        ),
        pytest.param(
            [view("a", 1, primary=False), view("b", 2, primary=False), view("c", 3), view("d", 4, state="pending")],
            2, (100, 200), Plan(0, ("b",), ()), id="and stops an old one for each healthy new one",
        ),
        pytest.param(
            [view("a", 1, primary=False), view("b", 2, primary=False)], 2, (50, 100), Plan(1, ("b",), ()),
            id="without room above, an old one goes first",
        ),
        pytest.param(
            [view("a", 1, primary=False), view("b", 2)], 0, (100, 200), Plan(0, ("b", "a"), ()), id="to zero, rolling"
        ),
    ],
)  # fmt: skip
def test_plan(tasks, desired, percents, expected):
    assert plan(tasks, desired, *percents) == expected
