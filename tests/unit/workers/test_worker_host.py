"""Where a worker runs, and how it keeps its ECS task while it is at work."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from agent import Agent, agent

from ecs_feature.workers.host import Host, ask, this_host
from ecs_feature.workers.protection import MAX_MINUTES, protected

LOG = logging.getLogger("worker")
STATE = "/task-protection/v1/state"
ARN = "arn:aws:ecs:us-east-1:123456789012:task/features/0a1b"
ON = {"ProtectionEnabled": True, "ExpiresInMinutes": 70}
OFF = {"ProtectionEnabled": False}


@pytest.fixture(scope="module")
def served() -> Any:
    with agent() as mine:
        yield mine


@pytest.fixture
def ecs(served: Agent, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    served.sent.clear()
    served.answers = {STATE: {"protection": {}}}
    return served


def test_a_worker_on_ecs_knows_its_task(ecs: Agent):
    ecs.answers["/v4/task"] = {"TaskARN": ARN, "Cluster": "features", "LaunchType": "FARGATE"}
    found = this_host({"ECS_CONTAINER_METADATA_URI_V4": f"{ecs.url}/v4"})
    assert found == Host(socket.gethostname(), ARN, "features", "FARGATE")
    assert ARN in str(found)


@pytest.mark.parametrize("answer", [(500, "no"), (200, "no JSON")])
def test_a_worker_whose_agent_does_not_answer_has_a_name(ecs: Agent, answer: Any):
    ecs.answers["/v4/task"] = answer
    assert this_host({"ECS_CONTAINER_METADATA_URI_V4": f"{ecs.url}/v4"}) == Host(socket.gethostname())


def test_a_worker_elsewhere_has_a_name():
    assert this_host({}) == Host(socket.gethostname())


def test_an_agent_is_asked_over_http_only():
    with pytest.raises(ValueError, match="no address of an agent"):
        ask("file:///etc/passwd")


def test_work_protects_the_task_and_lets_go(ecs: Agent):
    with protected(3600, LOG, {"ECS_AGENT_URI": ecs.url}):
        assert ecs.sent == [ON]
    assert ecs.sent == [ON, OFF]


def test_it_lets_go_when_the_work_fails(ecs: Agent):
    with pytest.raises(KeyError), protected(3600, LOG, {"ECS_AGENT_URI": ecs.url}):
        raise KeyError
    assert ecs.sent == [ON, OFF]


def test_the_longest_protection_is_ecs_s(ecs: Agent):
    with protected(10**9, LOG, {"ECS_AGENT_URI": ecs.url}):
        assert ecs.sent[0]["ExpiresInMinutes"] == MAX_MINUTES


def test_the_last_of_several_processes_lets_go(ecs: Agent):
    environ = {"ECS_AGENT_URI": ecs.url}
    go, (read, write) = Path(tempfile.gettempdir()) / "go", os.pipe()
    with protected(3600, LOG, environ):
        child = os.fork()
        if child == 0:
            with protected(3600, LOG, environ):
                os.write(write, b"x")
                parent = os.getppid()
                while os.getppid() == parent and not go.exists():
                    time.sleep(0.01)
            os._exit(0)
        assert os.read(read, 1) == b"x"
    assert ecs.sent == [ON, ON]  # the child is at work still
    go.touch()
    os.waitpid(child, 0)
    assert ecs.sent == [ON, ON, OFF]
    os.close(read)
    os.close(write)


def test_a_process_that_was_killed_holds_nothing(ecs: Agent):
    environ = {"ECS_AGENT_URI": ecs.url}
    child = os.fork()
    if child == 0:
        with protected(3600, LOG, environ):
            os._exit(9)
    os.waitpid(child, 0)
    with protected(3600, LOG, environ):
        pass
    assert ecs.sent == [ON, ON, OFF]


def test_a_refusal_is_said_and_the_work_goes_on(ecs: Agent, caplog: pytest.LogCaptureFixture):
    ecs.answers[STATE] = (400, '{"error": {"Code": "AccessDeniedException"}}')
    done = []
    with protected(3600, LOG, {"ECS_AGENT_URI": ecs.url}):
        done.append(1)
    assert done
    assert "AccessDeniedException" in caplog.text
    assert "ecs:UpdateTaskProtection" in caplog.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"failure": {"Reason": "DEPLOYMENT_BLOCKED"}}, "DEPLOYMENT_BLOCKED"),
        ((200, "no JSON"), "Expecting value"),
        ((200, "[]"), "no attribute"),
    ],
)
def test_an_answer_that_is_no_protection_is_said(ecs: Agent, caplog: pytest.LogCaptureFixture, answer: Any, said: str):
    ecs.answers[STATE] = answer
    with protected(3600, LOG, {"ECS_AGENT_URI": ecs.url}):
        pass
    assert said in caplog.text
    assert "cannot be protected from scale-in" in caplog.text


def test_nothing_is_protected_elsewhere(ecs: Agent):
    with protected(3600, LOG, {}):
        pass
    assert ecs.sent == []
