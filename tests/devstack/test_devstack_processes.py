from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from devstack.errors import StackError
from devstack.guard import watched
from devstack.processes import ROOT, Processes

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
PARENT = f"""
import subprocess, sys, time
sleeper = [sys.executable, "-c", "{SLEEPER}"]
print(subprocess.Popen(sleeper, start_new_session=True, stdout=subprocess.DEVNULL).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.stop(grace_seconds=0)


def start(processes: Processes, name: str, code: str) -> psutil.Process:
    component = processes.start(name, [sys.executable, "-c", code], os.environ)
    processes.wait_until(lambda: component.log.read_text() != "", what="nothing was written", timeout_seconds=30)
    return psutil.Process(component.process.pid)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stop_ends_children_and_what_descends_from_them_in_other_sessions(processes: Processes) -> None:
    parent = start(processes, "parent", PARENT)
    grandchild = int((processes.logs / "parent.log").read_text())
    processes.stop(grace_seconds=5)
    assert not parent.is_running()
    until(lambda: is_gone(grandchild))


def test_kill_takes_the_named_ones_with_all_that_descends_from_them_and_leaves_the_others(processes: Processes) -> None:
    parent, other = start(processes, "scheduler", PARENT), start(processes, "fargate-local", SLEEPER)
    grandchild = int((processes.logs / "scheduler.log").read_text())
    processes.kill({"scheduler"})
    assert not parent.is_running()
    until(lambda: is_gone(grandchild))
    assert other.is_running()
    processes.check()


def test_a_component_runs_until_it_ends_or_is_killed(processes: Processes) -> None:
    start(processes, "triggerer-1", SLEEPER)
    ended = processes.start("db-migrate", [sys.executable, "-c", ""], os.environ)
    ended.process.wait()
    assert processes.is_running("triggerer-1")
    assert not processes.is_running("db-migrate")
    assert not processes.is_running("triggerer-2")
    processes.kill({"triggerer-1"})
    assert not processes.is_running("triggerer-1")
    started_again = start(processes, "triggerer-1", SLEEPER)
    assert processes.is_running("triggerer-1")
    assert processes.pid("triggerer-1") == started_again.pid


def test_a_process_that_ignores_term_is_killed_after_the_grace_period(processes: Processes) -> None:
    deaf = start(processes, "deaf", f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}")
    processes.stop(grace_seconds=0.2)
    assert not deaf.is_running()


def test_a_component_that_ends_is_named_with_the_end_of_its_log(processes: Processes) -> None:
    code = "print('no room'); raise SystemExit(3)"
    component = processes.start("triggerer", [sys.executable, "-c", code], os.environ)
    component.process.wait()
    with pytest.raises(StackError) as caught:
        processes.check()
    assert str(caught.value) == (
        f"triggerer ended with code 3; the end of its log ({processes.logs / 'triggerer.log'}):\n    no room"
    )


def test_an_orphan_of_a_component_that_was_killed_is_ended_too(processes: Processes) -> None:
    parent = start(processes, "parent", PARENT)
    grandchild = int((processes.logs / "parent.log").read_text())
    processes.check()
    parent.kill()
    processes.stop(grace_seconds=1)
    until(lambda: is_gone(grandchild))


def test_a_wait_that_takes_too_long_says_what_for(processes: Processes) -> None:
    with pytest.raises(StackError, match=r"^Airflow is not healthy after 0 s; the logs are in "):
        processes.wait_until(lambda: False, what="Airflow is not healthy", timeout_seconds=0)


def test_a_long_wait_asks_seldom_and_still_ends_in_time(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    moment, asked, looks = 0.0, [], []

    def sleep(seconds: float) -> None:
        nonlocal moment
        moment += seconds

    def is_there(at: float) -> bool:
        asked.append(moment)
        return moment >= at

    monkeypatch.setattr(f"{Processes.__module__}.time", SimpleNamespace(monotonic=lambda: moment, sleep=sleep))
    monkeypatch.setattr(processes, "check", lambda: looks.append(moment))
    for at in (0.45, 5.0, 99.5):
        moment, asked[:], looks[:] = 0.0, [], []
        processes.wait_until(lambda at=at: is_there(at), what="it is not there", timeout_seconds=100)
        assert moment <= at + max(0.1, min(1.0, 0.05 * at)) + 1e-6
    assert len(asked) < 180
    assert len(looks) <= 100
    assert max(later - earlier for earlier, later in pairwise(looks)) < 2.1


def test_a_wait_ends_with_a_component(processes: Processes) -> None:
    start(processes, "triggerer", SLEEPER).kill()
    with pytest.raises(StackError, match="triggerer was killed by signal 9"):
        processes.wait_until(lambda: False, what="it is not there", timeout_seconds=30)


def test_the_guard_ends_everything_when_its_command_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from devstack.processes import Processes\n"
        f"running = Processes(Path({str(tmp_path)!r}))\n"
        f"print(running.start('parent', [sys.executable, '-c', {PARENT!r}], os.environ).process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert command.stdout is not None
        parent = int(command.stdout.readline())
        log = tmp_path / "parent.log"
        until(lambda: log.exists() and log.read_text().endswith("\n"))
    finally:
        os.kill(command.pid, signal.SIGKILL)
        command.communicate()
    until(lambda: is_gone(parent) and is_gone(int(log.read_text())))


def test_the_guard_forgets_what_was_ended() -> None:
    assert watched(["+12\n", "+13\n", "-12\n", "nonsense\n", "+x\n"]) == {13}
