"""Tasks as real containers on a real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fargate_local import LocalFargate

from .conftest import CLUSTER, Stack, settings, until
from .engine import IMAGE, containers, docker, inspect, needs_engine
from .services import balanced, tasks_of

pytestmark = [needs_engine, pytest.mark.timeout(180)]

OWNER = f"tests-{os.getpid()}"
LABEL = f"fargate-local.owner={OWNER}"
SERVER = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.uname().nodename.encode())
    def log_message(self, *args): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""

CLIENT = "import os, urllib.request; print(urllib.request.urlopen(os.environ['URL'], timeout=10).status)"
PATIENT_CLIENT = """
import time, urllib.request
for _ in range(50):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8080", timeout=2).status)
        break
    except OSError:
        time.sleep(0.2)
"""
PROBE = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080')"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server for the module; its tasks are containers."""
    state = tmp_path_factory.mktemp("state")
    with LocalFargate(settings(quotas=False, runtime="docker", owner=OWNER, state_dir=state)) as aws:
        stack = Stack(aws)
        yield stack
    assert containers(LABEL) == []
    assert docker("network", "ls", "-q", "--filter", f"label={LABEL}") == ""


@pytest.fixture
def run(stack: Stack) -> Callable[..., dict[str, Any]]:
    """Run a program to its end; the stopped task."""

    def run(*command: str, **definition: Any) -> dict[str, Any]:
        task = {name: definition.pop(name) for name in ("cpu", "memory", "volumes") if name in definition}
        arn = stack.register(container={"image": IMAGE, "command": list(command), **definition}, **task)
        started = stack.run(arn)["taskArn"]
        return until(lambda: stack.task(started), lambda task: task["lastStatus"] == "STOPPED", 60.0)

    return run


def python(text: str) -> tuple[str, ...]:
    return "python3", "-u", "-c", text


def container_of(arn: str) -> str:
    (found,) = containers(f"fargate-local.task={arn.rpartition('/')[2]}")
    return found


def test_a_task_is_a_container_of_its_image_and_is_gone_when_it_has_ended(stack: Stack, run):
    task = run(*python("import os; print(open('/etc/debian_version').read().strip(), os.getpid(), os.environ['WHO'])"),
               environment=[{"name": "WHO", "value": "me"}])  # fmt: skip
    (container,) = task["containers"]
    assert (container["exitCode"], container.get("reason")) == (0, None)
    assert len(container["runtimeId"]) == 64
    assert container["imageDigest"] == json.loads(docker("image", "inspect", IMAGE))[0]["Id"]
    (line,) = stack.lines(task)
    assert line.endswith(" 1 me")
    assert containers(f"fargate-local.task={task['taskArn'].rpartition('/')[2]}") == []


def test_limits_and_environment_are_the_kernels(stack: Stack):
    arn = stack.run(stack.register(container={"image": IMAGE, "command": ["sleep", "60"], "stopTimeout": 2}))["taskArn"]
    running = until(lambda: stack.task(arn), lambda task: task["lastStatus"] == "RUNNING", 60.0)
    made = inspect(container_of(arn))
    assert (made["HostConfig"]["Memory"], made["HostConfig"]["MemorySwap"]) == (512 << 20, 512 << 20)
    assert made["HostConfig"]["NanoCpus"] == 250_000_000
    (network,) = made["NetworkSettings"]["Networks"].values()
    assert running["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == network["IPAddress"]
    stack.ecs.stop_task(cluster=CLUSTER, task=arn)
    assert stack.until_status(arn, "STOPPED")["containers"][0]["exitCode"] == 137


def test_a_task_beyond_its_memory_is_killed_by_the_kernel(run):
    task = run(*python("held = bytearray(900 << 20); print('not killed')"))
    (container,) = task["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert task["stopCode"] == "EssentialContainerExited"
    assert run(*python("held = bytearray(900 << 20)"), cpu="512", memory="2048")["containers"][0]["exitCode"] == 0


def test_an_image_that_is_nowhere_is_a_pull_error(stack: Stack, run):
    task = run("true", image="localhost:1/nothing:1")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")


def test_a_command_that_is_not_there_is_a_start_error(stack: Stack, run):
    task = run("/nothing")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotStartContainerError: Error response from daemon: ")
    assert containers(LABEL) == []


@pytest.mark.parametrize(
    ("handler", "code", "least", "most"),
    [("sys.exit(7)", 7, 0.0, 2.5), ("None", 137, 3.0, 10.0)],
    ids=["ends in time", "is killed after stopTimeout"],
)
def test_a_task_is_stopped_by_sigterm_then_sigkill(stack: Stack, handler: str, code: int, least: float, most: float):
    text = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("asked"), {handler}))
print("up")
for _ in range(60): time.sleep(1)
"""
    arn = stack.run(stack.register(container={"image": IMAGE, "command": [*python(text)], "stopTimeout": 3}))["taskArn"]
    until(lambda: stack.task(arn), lambda task: task["lastStatus"] == "RUNNING", 60.0)
    until(lambda: stack.lines({"taskArn": arn}), lambda lines: lines == ["up"])
    stack.ecs.stop_task(cluster=CLUSTER, task=arn)
    task = until(lambda: stack.task(arn), lambda task: task["lastStatus"] == "STOPPED", 30.0)
    assert task["containers"][0]["exitCode"] == code
    assert least <= (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() < most
    assert stack.lines(task) == ["up", "asked"]


def test_a_task_reaches_the_endpoint_and_its_agent(stack: Stack, run):
    text = """
import os, urllib.request
print(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_fargate_local/health", timeout=10).status)
print(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task", timeout=10).status)
"""
    task = run(*python(text))
    assert stack.lines(task) == ["200", "200"]


def test_volumes_are_folders_of_the_engine_and_read_only_where_they_say_so(stack: Stack, run):
    efs = {"name": "models", "efsVolumeConfiguration": {"fileSystemId": "fs-12345678", "transitEncryption": "ENABLED"}}
    mounts = [{"sourceVolume": "models", "containerPath": "/mnt/models"}]
    write = run("sh", "-c", "echo learned > /mnt/models/weights", mountPoints=mounts, volumes=[efs])
    assert write["containers"][0]["exitCode"] == 0
    mounts[0] |= {"readOnly": True}  # type: ignore[dict-item]
    read = run("sh", "-c", "cat /mnt/models/weights; echo no > /mnt/models/weights", mountPoints=mounts, volumes=[efs])
    assert read["containers"][0]["exitCode"] != 0
    assert stack.lines(read)[0] == "learned"


def test_a_user_who_is_not_root_writes_the_tasks_own_volume(run):
    mounts = [{"sourceVolume": "scratch", "containerPath": "/scratch"}]
    task = run("sh", "-c", "touch /scratch/mine && ! touch /mine", mountPoints=mounts, volumes=[{"name": "scratch"}],
               user="10001:10001", readonlyRootFilesystem=True)  # fmt: skip
    assert task["containers"][0]["exitCode"] == 0


def test_the_containers_of_a_task_share_its_network(stack: Stack):
    both = [
        {"name": "main", "image": IMAGE, "command": [*python(PATIENT_CLIENT)]},
        {"name": "side", "image": IMAGE, "command": [*python(SERVER)], "essential": False},
    ]
    log = {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/ecs/features", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "job"},
    }
    arn = stack.register("two", containerDefinitions=[each | {"logConfiguration": log} for each in both])
    started = stack.run(arn)["taskArn"]
    task = until(lambda: stack.task(started), lambda task: task["lastStatus"] == "STOPPED", 60.0)
    assert [container["exitCode"] for container in task["containers"]] == [0, 0]
    assert stack.lines(task) == ["200"]
    until(lambda: containers(f"fargate-local.task={started.rpartition('/')[2]}"), lambda ids: ids == [])


def test_a_service_is_reached_through_its_balancer_and_checked_in_its_containers(stack: Stack):
    check = {"command": ["CMD", "python3", "-c", PROBE]}
    _, url = balanced(stack, "web", 2, container={"image": IMAGE, "command": [*python(SERVER)], "healthCheck": check})
    until(lambda: len(tasks_of(stack, "web")), lambda count: count == 2, 60.0)
    until(lambda: stack.service("web"), lambda service: service["runningCount"] == 2, 60.0)
    until(lambda: {httpx.get(url).text for _ in range(6)} if httpx.get(url).status_code == 200 else set(),
          lambda names: len(names) == 2, 60.0)  # fmt: skip
    until(lambda: {task["healthStatus"] for task in tasks_of(stack, "web")}, lambda seen: seen == {"HEALTHY"}, 30.0)
    (first, *_) = tasks_of(stack, "web")
    docker("kill", container_of(first["taskArn"]))
    stopped = until(lambda: stack.task(first["taskArn"]), lambda task: task["lastStatus"] == "STOPPED", 30.0)
    assert stopped["containers"][0]["exitCode"] == 137
    until(lambda: len(tasks_of(stack, "web")), lambda count: count == 2, 60.0)
    asking = {"image": IMAGE, "environment": [{"name": "URL", "value": url}], "command": [*python(CLIENT)]}
    from_task = stack.register("client", container=asking)
    asked = stack.run(from_task)["taskArn"]
    task = until(lambda: stack.task(asked), lambda task: task["lastStatus"] == "STOPPED", 60.0)
    assert stack.lines(task) == ["200"]
    stack.ecs.delete_service(cluster=CLUSTER, service="web", force=True)


CHILD = """
import sys, time
from pathlib import Path
from fargate_local import LocalFargate, Settings
import boto3
with LocalFargate(Settings(runtime="docker", owner=sys.argv[1], pace=0)) as aws:
    ecs = aws.client("ecs")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256",
        memory="512", containerDefinitions=[{"name": "m", "image": sys.argv[2], "command": ["sleep", "100"]}])
    ecs.run_task(cluster="c", taskDefinition="f", launchType="FARGATE",
                 networkConfiguration={"awsvpcConfiguration": {"subnets": ["s"]}})
    print("up", flush=True)
    time.sleep(100)
"""


def test_a_server_that_is_killed_leaves_no_container_behind():
    owner = f"{OWNER}-killed"
    child = subprocess.Popen([sys.executable, "-c", CHILD, owner, IMAGE], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "up\n"
        until(lambda: containers(f"fargate-local.owner={owner}"), lambda ids: len(ids) == 1, 30.0)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    until(lambda: containers(f"fargate-local.owner={owner}"), lambda ids: ids == [], 30.0)
    until(lambda: docker("network", "ls", "-q", "--filter", f"label=fargate-local.owner={owner}"), lambda ids: not ids)


def test_what_an_earlier_server_of_the_owner_left_is_removed_at_the_start(tmp_path: Path):
    owner = f"{OWNER}-left"
    docker("run", "-d", "--label", f"fargate-local.owner={owner}", IMAGE, "sleep", "100")
    other = f"{OWNER}-other"
    docker("run", "-d", "--label", f"fargate-local.owner={other}", "--name", other, IMAGE, "sleep", "100")
    try:
        with LocalFargate(settings(runtime="docker", owner=owner)):
            assert containers(f"fargate-local.owner={owner}") == []
            assert len(containers(f"fargate-local.owner={other}")) == 1
    finally:
        docker("rm", "-f", other)


def test_a_server_that_ends_while_containers_start_leaves_none_behind(tmp_path: Path):
    owner = f"{OWNER}-ended"
    with LocalFargate(settings(quotas=False, runtime="docker", owner=owner, state_dir=tmp_path)) as aws:
        stack = Stack(aws)
        definition = stack.register(container={"image": IMAGE, "command": ["sleep", "100"]})
        for _ in range(5):
            stack.run(definition)
        until(lambda: containers(f"fargate-local.owner={owner}"), bool)
    assert containers(f"fargate-local.owner={owner}") == []
