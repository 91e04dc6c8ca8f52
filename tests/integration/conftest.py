"""A local Fargate in this process, and operators run against it with a context that is just enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fargate_local import LocalFargate, Settings

CLUSTER = "features"


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


def context(params: dict[str, Any] | None = None, logical_date: Any = "2013-01-01") -> dict[str, Any]:
    """What an operator reads of its context."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(pushed=pushed, xcom_push=lambda key, value: pushed.__setitem__(key, value))
    return {"params": params or {}, "dag_run": SimpleNamespace(logical_date=logical_date), "ti": ti}
