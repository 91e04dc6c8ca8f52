"""A shard's work on a worker: a container's command, a function, an operator."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.workers.work import Command, call, end, taken

DEFINITION = {
    "containerDefinitions": [
        {"name": "side", "command": ["x"]},
        {
            "name": "job",
            "entryPoint": ["sh", "-c"],
            "command": ["true"],
            "environment": [{"name": "A", "value": "1"}, {"name": "SHARD", "value": "none"}],
            "workingDirectory": "/srv",
        },
        {"name": "bare"},
    ]
}


def run(*words: str, **environment: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = Command(words, environment).run(lines.append, lambda process: None)
    return code, lines


def test_a_containers_command_with_the_launchs_overrides():
    command = Command.of_container(DEFINITION, "job", ["echo"], {"SHARD": "CA"})
    assert command == Command(["sh", "-c", "echo"], {"SHARD": "CA"}, "/srv", {"A": "1", "SHARD": "none"})
    assert Command.of_container(DEFINITION, "job", [], {}).words == ["sh", "-c", "true"]


@pytest.mark.parametrize(
    ("container", "said"), [("bare", "give command= or work="), ("none", "is not in the task definition")]
)
def test_a_container_without_a_command_is_refused(container: str, said: str):
    with pytest.raises(ConfigurationError, match=said):
        Command.of_container(DEFINITION, container, [], {})


def test_its_lines_and_exit_code_are_told():
    assert run("sh", "-c", 'echo "$SHARD"; echo two >&2; exit 3', SHARD="CA") == (3, ["CA", "two"])


def test_the_worker_knows_where_its_volumes_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MODELS", "/on/the/worker")
    monkeypatch.setenv("SHARD", "of the worker")
    lines: list[str] = []
    shown = Command(["sh", "-c", "echo $MODELS $SHARD $A"], {"SHARD": "CA"}, "", {"MODELS": "/mnt", "A": "1"})
    assert shown.run(lines.append, lambda process: None) == 0
    assert lines == ["/on/the/worker CA 1"]


def test_a_signal_is_128_and_its_number():
    assert run("sh", "-c", "kill -9 $$")[0] == 137


def test_a_program_that_is_not_there_is_one_sentence():
    with pytest.raises(ConfigurationError, match="'no-such-program' cannot be started on this worker"):
        run("no-such-program")


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path):
    pid = tmp_path / "pid"
    assert run("sh", "-c", f"sleep 60 & echo $! > {pid}") == (0, [])  # it holds the output open
    left = int(pid.read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(left, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("it goes on")


def test_it_can_be_ended_from_elsewhere():
    processes: list[Any] = []
    threading.Timer(0.3, lambda: end(processes[0])).start()
    code = Command([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"], {}).run(
        lambda line: None, processes.append
    )
    assert code == 143


def test_a_function_gets_what_its_signature_names():
    def work(shard: str, day: str = "", other: int = 7) -> None: ...

    def everything(**arguments: Any) -> None: ...

    given = {"shard": "CA", "day": "2020-01-01", "output_uri": "s3://b/k"}
    assert taken(work, given) == {"shard": "CA", "day": "2020-01-01"}
    assert taken(everything, given) == given


def test_an_operator_that_it_returns_is_run(tmp_path: Path):
    out = tmp_path / "out"

    def work(shard: str) -> BashOperator:
        return BashOperator(task_id="work", bash_command="echo {{ ds }} $SHARD > " + str(out), env={"SHARD": shard})

    call(work, {"shard": "CA"}, {"ds": "2020-06-15", "ti": None})
    assert out.read_text() == "2020-06-15 CA\n"


def test_an_operator_that_defers_is_refused():
    class Deferring(BaseOperator):  # type: ignore[misc]
        def execute(self, context: Any) -> None:
            raise TaskDeferred(trigger=None, method_name="x")

    with pytest.raises(ConfigurationError, match="Deferring defers; make it with deferrable=False"):
        call(lambda: Deferring(task_id="work"), {}, {})
