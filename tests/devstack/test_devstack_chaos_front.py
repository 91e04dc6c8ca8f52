"""What lies in front of the local Fargate in the chaos scenarios: a real proxy and real TLS, which fail on demand."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from devstack.chaos import front as module
from devstack.chaos.front import FATES, Front, connections, opened_fronts
from devstack.chaos.scenarios import SCENARIOS, SIDES

EXPECTED: dict[str, tuple[type[BotoCoreError], ...]] = {
    "proxy refuses": (ProxyConnectionError,),
    "proxy closes": (ProxyConnectionError, EndpointConnectionError, ConnectionClosedError, HTTPClientError),
    "proxy resets": (ProxyConnectionError, EndpointConnectionError, ConnectionClosedError, HTTPClientError),
    "tls closed": (SSLError, ConnectionClosedError, EndpointConnectionError, HTTPClientError),
    "tls not spoken": (SSLError,),
    "tls untrusted": (SSLError,),
}


class Upstream(BaseHTTPRequestHandler):
    """Answers ListClusters, and says what it was asked with."""

    protocol_version = "HTTP/1.1"
    agents: list[str] = []  # noqa: RUF012 - of the class

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.agents.append(self.headers["user-agent"])
        body = b'{"clusterArns": ["a"]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as upstream:
        serving = threading.Thread(target=upstream.serve_forever, daemon=True)
        serving.start()
        made = Front(tmp_path, 7, "aws_test", "chaos/test")
        made.lead_to(f"http://127.0.0.1:{upstream.server_address[1]}")
        yield made
        made.close()
        upstream.shutdown()


def options(front: Front) -> dict[str, Any]:
    extra = front.connection()["extra"]
    return {
        "endpoint_url": extra["endpoint_url"],
        "verify": extra["verify"],
        "config": Config(retries={"total_max_attempts": 1}, **extra["config_kwargs"]),
        "region_name": "us-east-1",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
    }


def test_a_call_goes_through_a_front_that_is_not_blind(front: Front) -> None:
    Upstream.agents.clear()
    ecs = boto3.client("ecs", **options(front))
    assert [ecs.list_clusters()["clusterArns"] for _ in range(2)] == [["a"], ["a"]]
    assert ["chaos/test" in agent for agent in Upstream.agents] == [True, True]
    assert front.seen == {}


@pytest.mark.parametrize("fate", FATES)
def test_a_call_fails_as_it_would_on_its_way_to_aws(front: Front, monkeypatch: pytest.MonkeyPatch, fate: str) -> None:
    monkeypatch.setattr(front, "_fate", lambda: fate)
    with pytest.raises(EXPECTED[fate]):
        boto3.client("ecs", **options(front)).list_clusters()


@pytest.mark.parametrize("fate", FATES)
async def test_a_call_of_a_triggerer_fails_as_it_would_on_its_way_to_aws(
    front: Front, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    from aiobotocore.config import AioConfig

    given = options(front)
    kwargs = front.connection()["extra"]["config_kwargs"]
    given["config"] = AioConfig(retries={"total_max_attempts": 1}, **kwargs)
    async with get_session().create_client("ecs", **given) as ecs:
        assert (await ecs.list_clusters())["clusterArns"] == ["a"]
    monkeypatch.setattr(front, "_fate", lambda: fate)
    async with get_session().create_client("ecs", **given) as ecs:
        with pytest.raises(BotoCoreError):
            await ecs.list_clusters()


def test_connections_that_are_open_when_it_becomes_blind_are_reset_and_it_sees_again(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "THROUGH", 0.0)
    ecs = boto3.client("ecs", **options(front))
    ecs.list_clusters()
    assert (front.be_blind(True), front.be_blind(True)) == (True, False)
    for _ in range(4):
        with pytest.raises(BotoCoreError):
            ecs.list_clusters()
    assert set(front.seen) <= set(FATES)
    assert front.seen.total() in (3, 4)  # the first call may have met the reset itself
    assert front.be_blind(False)
    assert ecs.list_clusters()["clusterArns"] == ["a"]


def test_a_caller_that_goes_away_during_the_handshake_leaves_the_front_as_it_was(front: Front) -> None:
    host, port = front.url.split(":")
    for said in (b"", b"\x16\x03\x01\x02\x00", b"no TLS at all\r\n"):
        for _ in range(3):
            with socket.create_connection((host, int(port)), timeout=10) as caller:
                caller.sendall(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n")
                assert caller.recv(1000).startswith(b"HTTP/1.1 200 ")
                caller.sendall(said)
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        caller.sendall(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n")
        assert caller.recv(1000).startswith(b"HTTP/1.1 200 ")
        front.be_blind(True)  # resets it in the middle of its handshake
        front.be_blind(False)
        with pytest.raises(ConnectionResetError):
            caller.recv(1000)
    assert boto3.client("ecs", **options(front)).list_clusters()["clusterArns"] == ["a"]
    front.close()
    gc.collect()


def test_each_side_of_a_scenario_with_blindness_has_a_front_and_a_connection(tmp_path: Path) -> None:
    with opened_fronts(SCENARIOS, SIDES, 7, tmp_path) as fronts:
        assert set(fronts) == {("blindness", "ours"), ("blindness", "stock")}
        found = connections(fronts)
    assert set(found) == {"aws_chaos_blindness_ours", "aws_chaos_blindness_stock"}
    extra = found["aws_chaos_blindness_ours"]["extra"]
    assert extra["config_kwargs"]["user_agent_extra"] == "chaos/chaos_blindness_ours"
