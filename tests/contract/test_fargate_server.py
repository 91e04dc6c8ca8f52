"""The server itself: the command line, its end, and servers side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import httpx
import psutil
import pytest

from .conftest import CLUSTER, IMAGES, Stack, task_definition, until

ROOT = Path(__file__).parents[2]
Started = tuple[subprocess.Popen[str], dict[str, str]]

SPLUNK = {"logDriver": "splunk", "options": {"splunk-url": "https://splunk.example", "splunk-token": "token"}}
"""A driver whose lines go nowhere here."""


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Started]]:
    """Start `python -m fargate_local`; the process and what it exported."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> Started:
        command = [sys.executable, "-m", "fargate_local", "--images", str(IMAGES), "--pace", "0.001", *arguments]
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"LANG": "C"}
        )
        processes.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        return process, dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def client(exported: dict[str, str]):
    return boto3.client(
        "ecs", endpoint_url=exported["AWS_ENDPOINT_URL"], region_name=exported["AWS_REGION"],
        aws_access_key_id=exported["AWS_ACCESS_KEY_ID"], aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip


def sleeping_child(exported: dict[str, str], process: subprocess.Popen[str]) -> psutil.Process:
    """Run a task whose container leaves a grandchild asleep; the grandchild."""
    ecs = client(exported)
    ecs.create_cluster(clusterName=CLUSTER)
    command = {"command": ["sh", "-c", "sleep 4321 & wait"], "logConfiguration": SPLUNK}
    ecs.register_task_definition(**task_definition(container=command))
    ecs.run_task(
        cluster=CLUSTER, taskDefinition="job", launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )  # fmt: skip

    def find() -> list[psutil.Process]:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if child.is_running() and child.name() == "sleep"]

    return until(find, bool)[0]


def test_it_prints_the_exports_a_shell_needs_and_nothing_else(start):
    process, exported = start()
    assert set(exported) == {
        "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION",
    }  # fmt: skip
    assert exported["AWS_ACCESS_KEY_ID"] == "local"
    assert httpx.get(exported["AWS_ENDPOINT_URL"] + "/_fargate_local/health", verify=False).json() == {"status": "ok"}
    client(exported).list_clusters()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")


def test_sigterm_ends_every_container_first(start):
    process, exported = start()
    child = sleeping_child(exported, process)
    process.terminate()
    assert process.wait(20) == 0
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_kill_9_of_the_server_leaves_no_container_behind(start):
    process, exported = start()
    child = sleeping_child(exported, process)
    process.kill()
    process.wait(20)
    until(lambda: child.is_running() and child.status() != psutil.STATUS_ZOMBIE, lambda alive: not alive)


def test_a_port_in_use_is_one_sentence(start):
    _, exported = start()
    port = exported["AWS_ENDPOINT_URL"].rpartition(":")[2]
    command = [sys.executable, "-m", "fargate_local", "--port", port]
    second = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=30)
    assert second.returncode == 1
    assert second.stderr.strip() == f"fargate_local cannot listen on 127.0.0.1:{port}: Address already in use"


def test_without_an_engine_the_docker_runtime_ends_in_one_sentence():
    command = [sys.executable, "-m", "fargate_local", "--runtime", "docker", "--engine", "unix:///no/such/socket"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("fargate_local: no container engine answers at unix:///no/such/socket (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--pace", "-1"], "pace is -1.0"),
        (["--images", "/no/such/folder"], "images is /no/such/folder"),
        (["--efs", "fs-1"], "--efs is 'fs-1'"),
        (["--port", "70000"], "port is 70000"),
        (["--load-balancer-ports", "20000"], "--load-balancer-ports is '20000': it must be like 20000-29999"),
        (["--load-balancer-ports", "2-1"], "load_balancer_range is 2-1: it must be like 20000-29999"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments, part, capsys):
    from fargate_local.__main__ import parse

    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert part in capsys.readouterr().err


def test_servers_in_one_process_do_not_see_each_others_tasks(own_stack: Callable[..., Stack]):
    one, two = own_stack(), own_stack()
    one.register("mine")
    assert one.ecs.list_task_definition_families()["families"] == ["mine"]
    assert two.ecs.list_task_definition_families()["families"] == []
    assert [call.operation for call in two.aws.calls("RegisterTaskDefinition")] == []


def test_calls_are_recorded_with_their_requests(own_stack: Callable[..., Stack]):
    stack = own_stack()
    stack.ecs.list_tasks(cluster=CLUSTER)
    url = f"{stack.aws.endpoint_url}/_fargate_local/calls"
    (call,) = httpx.get(url, params={"operation": "ListTasks"}, verify=False).json()["calls"]
    assert (call["operation"], call["request"], call["status"], call["error"]) == (
        "ListTasks", {"cluster": CLUSTER}, 200, None,
    )  # fmt: skip


def test_a_task_in_progress_ends_with_the_with_block(own_stack: Callable[..., Stack]):
    stack = own_stack()
    arn = stack.run(stack.register(container={"command": ["sleep", "4322"]}))["taskArn"]
    stack.until_status(arn, "RUNNING")
    (child,) = [p for p in psutil.Process().children(recursive=True) if p.cmdline() == ["sleep", "4322"]]
    stack.aws.__exit__(None, None, None)
    assert not child.is_running()
    stack.aws.__enter__()
