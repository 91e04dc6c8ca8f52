"""What an engine is asked for; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_local.balancer.groups import ports_of
from fargate_local.runtimes.base import ContainerSpec, Mount
from fargate_local.runtimes.docker_request import container_request, engine_path
from fargate_local.runtimes.lines import Lines

GIB = 1 << 30


def request(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "task_id": "t", "name": "main", "image": "job:1", "entry_point": (), "command": ("python", "-m", "job"),
        "environment": {"A": "1"}, "mounts": (), "working_directory": None, "memory_mib": None, "task_memory_mib": 1024,
        "address": "", "ports": (), "task_cpu": 512,
    }  # fmt: skip
    return container_request(
        ContainerSpec(**(given | changed)),
        network="net",
        cpus=2,
        labels={"owner": "me"},
        folders={"/state": "/var/lib/engine/volumes/state/_data"},
        urls={"http://127.0.0.1:4566": "http://172.18.0.1:4566"},
    )


def test_a_container_has_the_limits_of_its_task_and_no_swap():
    host = request()["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (GIB, GIB, 500_000_000)
    assert (host["NetworkMode"], host["RestartPolicy"]) == ("net", {"Name": "no"})


@pytest.mark.parametrize(
    ("own", "of_task", "expected"),
    [(256, 1024, 256), (2048, 1024, 1024), (None, 1024, 1024), (256, None, 256), (None, None, None)],
)
def test_memory_is_the_lower_of_the_containers_own_and_the_tasks(own: Any, of_task: Any, expected: Any):
    memory = request(memory_mib=own, task_memory_mib=of_task)["HostConfig"].get("Memory")
    assert memory == (None if expected is None else expected << 20)


@pytest.mark.parametrize(("task_cpu", "nano"), [(256, 250_000_000), (4096, 2_000_000_000), (0, None)])
def test_cpu_is_the_tasks_as_far_as_the_engine_has_it(task_cpu: int, nano: int | None):
    assert request(task_cpu=task_cpu)["HostConfig"].get("NanoCpus") == nano


def test_what_is_not_given_is_left_to_the_image():
    made = request(command=())
    assert not {"Entrypoint", "Cmd", "User", "WorkingDir"} & set(made)
    made = request(entry_point=("sh", "-c"), command=("true",), working_directory="/app", definition={"user": "10:10"})
    assert (made["Entrypoint"], made["Cmd"], made["WorkingDir"], made["User"]) == (
        ["sh", "-c"], ["true"], "/app", "10:10",
    )  # fmt: skip


def test_the_servers_own_addresses_become_reachable_and_no_others():
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "DEEPER": "http://127.0.0.1:4566/_fargate_local/api/1",
        "SIDECAR": "http://127.0.0.1:45660",
        "OTHER": "see http://127.0.0.1:4566",
    }
    assert request(environment=environment)["Env"] == [
        "AWS_ENDPOINT_URL=http://172.18.0.1:4566",
        "DEEPER=http://172.18.0.1:4566/_fargate_local/api/1",
        "SIDECAR=http://127.0.0.1:45660",
        "OTHER=see http://127.0.0.1:4566",
    ]


def test_what_linux_offers_a_container_is_asked_for():
    definition = {
        "cpu": 128, "memoryReservation": 64, "readonlyRootFilesystem": True, "dockerLabels": {"team": "x"},
        "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
        "linuxParameters": {
            "initProcessEnabled": True, "sharedMemorySize": 16,
            "tmpfs": [{"containerPath": "/run", "size": 8, "mountOptions": ["noexec"]}],
        },
    }  # fmt: skip
    made = request(definition=definition)
    host = made["HostConfig"]
    assert (host["CpuShares"], host["MemoryReservation"], host["ReadonlyRootfs"]) == (128, 64 << 20, True)
    assert (host["Init"], host["ShmSize"], host["Tmpfs"]) == (True, 16 << 20, {"/run": "size=8m,noexec"})
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert made["Labels"] == {"team": "x", "owner": "me"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/state/efs/fs-1", "/var/lib/engine/volumes/state/_data/efs/fs-1"),
        ("/state", "/var/lib/engine/volumes/state/_data"),
        ("/states/efs", "/states/efs"),
    ],
)
def test_a_folder_of_this_container_is_found_where_the_engine_has_it(path: str, expected: str):
    assert engine_path(path, {"/state": "/var/lib/engine/volumes/state/_data"}) == expected
    mount = request(mounts=(Mount("/mnt/models", path, read_only=True),))["HostConfig"]["Mounts"]
    assert mount == [{"Type": "bind", "Source": expected, "Target": "/mnt/models", "ReadOnly": True}]


def test_output_is_cut_into_lines_wherever_its_pieces_end():
    lines: list[bytes] = []
    cut = Lines(lines.append)
    for piece in (b"a", b"b\r\nc\n", b"\n", b"d"):
        cut.feed(piece)
    cut.end()
    assert lines == [b"ab", b"c", b"", b"d"]


def test_a_balancers_port_depends_on_its_name_alone():
    ports = list(ports_of("encoder-control", 20000, 20009))
    assert sorted(ports) == list(range(20000, 20010))
    assert ports == list(ports_of("encoder-control", 20000, 20009))
    assert next(ports_of("encoder-treatment", 20000, 29999)) != next(ports_of("encoder-control", 20000, 29999))
