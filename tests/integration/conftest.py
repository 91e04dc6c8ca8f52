"""A local Fargate in this process, and operators run against it with a context that is just enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_context import CLUSTER

from fargate_local import LocalFargate, Settings


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
