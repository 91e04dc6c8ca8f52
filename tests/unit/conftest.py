"""What unit tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from log_supervisor import Supervisor

from ecs_feature.triggerer.supervisor_socket import supervisor_socket


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A triggerer's supervisor that reads log lines when it is told to; for this process, as its runner."""
    supervisor = Supervisor()
    logging.getLogger().addHandler(supervisor.handler)
    supervisor_socket.cache_clear()
    yield supervisor
    supervisor_socket.cache_clear()
    logging.getLogger().removeHandler(supervisor.handler)
    supervisor.close()
