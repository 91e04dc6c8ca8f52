"""A local Fargate in this process, and operators run against it with a context that is just enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_context import CLUSTER, register_logged

from fargate_local import LocalFargate, Settings

LOG_GROUP = "/ecs/features"


@pytest.fixture(scope="module")
def fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    """A local Fargate with one empty cluster."""
    images: Path = tmp_path_factory.mktemp("images")
    with LocalFargate(Settings(images=images, state_dir=tmp_path_factory.mktemp("state"))) as aws:
        aws.client("ecs").create_cluster(clusterName=CLUSTER)
        yield aws


@pytest.fixture
def aws(fargate: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> LocalFargate:
    """The same, with this process's environment pointing to it."""
    for name, value in fargate.environ.items():
        monkeypatch.setenv(name, value)
    return fargate


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalFargate]:
    """A local Fargate of its own, whose tasks are clocks, with a cluster, a task definition ``job`` of 0.25 vCPU and
    512 MiB with a log, a bucket, and this process's environment pointing to it."""
    settings = Settings(images=tmp_path, state_dir=tmp_path / "state", pace=0.001, runtime="simulated")
    with LocalFargate(settings) as local:
        for name, value in local.environ.items():
            monkeypatch.setenv(name, value)
        local.client("s3").create_bucket(Bucket="bucket")
        local.client("ecs").create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
        register_logged(local, "job", LOG_GROUP)
        yield local
