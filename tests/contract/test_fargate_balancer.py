"""The load balancer in front of a service's tasks."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from fargate_local import LocalFargate
from fargate_local.balancer import groups

from .conftest import CLUSTER, Stack, settings, until
from .services import balanced, create, tasks_of


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def web(stack: Stack) -> str:
    """The address of two healthy web servers; no test ends one."""
    _, url = balanced(stack, "web", 2)
    stack.until_steady("web", 2)
    return url


@pytest.fixture
def in_flight(tmp_path: Path) -> Iterator[Callable[[str], Future[httpx.Response]]]:
    """Send a request for what takes long; return when the target has it."""

    def send(url: str) -> Future[httpx.Response]:
        answer = threads.submit(httpx.get, f"{url}{tmp_path}/arrived", timeout=30)
        until(lambda: (tmp_path / "arrived").exists(), bool)
        return answer

    with ThreadPoolExecutor() as threads:
        yield send


def dial(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_it_listens_at_once_and_answers_503_without_targets(stack: Stack):
    _, url = balanced(stack, "empty")
    answer = httpx.get(url)
    assert (answer.status_code, "no healthy targets" in answer.text) == (503, True)


def test_it_takes_turns_between_healthy_tasks_and_registers_them(stack: Stack):
    arn, url = balanced(stack, "turns", 2)
    stack.until_steady("turns", 2)
    with httpx.Client() as client:
        answers = [client.get(url).text for _ in range(4)]
        assert client.post(url, content=b"x" * 1_000_000).content == b"x" * 1_000_000
    assert len(set(answers)) == 2
    health = stack.aws.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert {item["Target"]["Id"] for item in health} == set(answers)
    stack.ecs.update_service(cluster=CLUSTER, service="turns", desiredCount=0)
    stack.until_steady("turns", 0)
    elbv2 = stack.aws.client("elbv2")
    until(lambda: elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"], lambda h: h == [])


def test_a_request_to_a_target_that_dies_goes_to_another_if_it_is_idempotent(stack: Stack, tmp_path):
    _, url = balanced(stack, "died", 2)
    stack.until_steady("died", 2)
    answer = httpx.get(f"{url}/die-once{tmp_path}/get")
    assert (answer.status_code, (tmp_path / "get").exists()) == (200, True)
    until(lambda: len(tasks_of(stack, "died", "STOPPED")), lambda number: number == 1)
    stack.until_steady("died", 2)
    assert httpx.post(f"{url}/die-once{tmp_path}/post", content=b"1").status_code == 502
    assert {httpx.post(url, content=b"1").status_code for _ in range(4)} == {200}


def test_a_service_needs_a_target_group_that_exists(stack: Stack):
    balancer = {
        "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/none/0123456789abcdef",
        "containerName": "main",
        "containerPort": 8080,
    }
    with pytest.raises(ClientError) as caught:
        create(stack, "nogroup", loadBalancers=[balancer])
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_a_port_can_be_given_by_the_target_groups_name(own_stack, unused_port):
    stack = own_stack(load_balancer_ports={"fixed": unused_port})
    _, url = balanced(stack, "fixed")
    assert url == f"http://127.0.0.1:{unused_port}"


def test_a_large_body_arrives_whole_there_and_back(web):
    body = os.urandom(20_000_000)
    assert httpx.post(web, content=body, timeout=30).content == body


def test_a_chunked_body_arrives_whole(web):
    chunks = [os.urandom(70_000) for _ in range(30)]
    assert httpx.post(web, content=iter(chunks), timeout=30).content == b"".join(chunks)


def test_requests_at_once_get_the_answer_of_their_own(web):
    def echo(client: httpx.Client, number: int) -> bool:
        body = b"%d " % number * 2000
        return client.post(web, content=body).content == body

    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(20) as threads:
        assert all(threads.map(lambda number: echo(client, number), range(200)))


def test_a_connection_is_kept_alive_and_the_path_is_left_as_it_is(web):
    connection = http.client.HTTPConnection(*web.removeprefix("http://").split(":"), timeout=10)
    connection.request("GET", "/a%2Fb%20c?x=%20&y")
    first = connection.getresponse()
    first.read()
    sock = connection.sock
    connection.request("POST", "/second", body=b"body")
    second = connection.getresponse()
    assert [first.headers["x-path"], second.headers["x-path"]] == ["/a%2Fb%20c?x=%20&y", "/second"]
    assert (second.read(), connection.sock is sock) == (b"body", True)
    # nothing but what the target sent
    assert sorted(name.lower() for name in second.headers) == ["content-length", "date", "server", "x-path"]
    assert second.headers["server"].startswith("BaseHTTP")
    connection.close()


def test_a_client_that_leaves_amid_its_request_or_before_the_answer_disturbs_nobody(web, caplog):
    caplog.set_level(logging.WARNING)  # Airflow's own logging, where a test has begun it, shows every request
    for request in (
        b"GET / HT",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ):
        with dial(web) as connection:
            connection.sendall(request)
    assert {httpx.post(web, content=b"1").status_code for _ in range(4)} == {200}
    assert caplog.messages == []


def test_an_answer_that_breaks_off_is_asked_for_again_if_that_is_idempotent(stack: Stack, tmp_path):
    _, url = balanced(stack, "half", 2)
    stack.until_steady("half", 2)
    answer = httpx.get(f"{url}/half-once{tmp_path}/get")
    assert (answer.status_code, answer.text == "half", (tmp_path / "get").exists()) == (200, False, True)
    stack.until_steady("half", 2)
    answer = httpx.post(f"{url}/half-once{tmp_path}/post", content=b"1")
    assert (answer.status_code, "broke off" in answer.text) == (502, True)


def test_a_target_that_takes_longer_than_the_idle_timeout_is_504(own_stack, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "IDLE_SECONDS", 1)
    _, url = balanced(stack := own_stack(), "late", 1)
    stack.until_steady("late", 1)
    answer = httpx.get(f"{url}/never{tmp_path}/arrived", timeout=30)
    assert (answer.status_code, "did not answer within 1 s" in answer.text) == (504, True)


def test_a_request_in_flight_is_answered_by_a_task_that_is_scaled_in(stack: Stack, in_flight):
    _, url = balanced(stack, "drained", 1)
    stack.until_steady("drained", 1)
    answer = in_flight(f"{url}/until-stopped")
    stack.ecs.update_service(cluster=CLUSTER, service="drained", desiredCount=0)
    assert answer.result(20).status_code == 200
    assert until(lambda: httpx.get(url), lambda answer: answer.status_code == 503)


def test_the_end_of_the_server_answers_requests_in_flight_and_waits_for_nobody(own_stack, in_flight):
    _, url = balanced(stack := own_stack(), "ended", 1)
    stack.until_steady("ended", 1)
    answer = in_flight(f"{url}/never")
    with dial(url) as idle, dial(url) as half, httpx.Client() as kept:
        assert kept.get(url).status_code == 200
        half.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
        began = time.monotonic()
        stack.aws.__exit__(None, None, None)
        assert time.monotonic() - began < 30
        assert answer.result(10).status_code == 502, "the server ends its tasks at once"
        assert idle.recv(1) == b""
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    stack.aws.__enter__()


def test_a_balancer_keeps_its_url_when_the_server_is_started_anew():
    urls = []
    for _ in range(2):
        with LocalFargate(settings(load_balancer_range=(20000, 29999), advertised_host="localhost")) as aws:
            assert aws.endpoint_url.startswith("http://localhost:")
            urls.append(balanced(Stack(aws), "kept-url")[1])
            assert httpx.get(urls[-1]).status_code == 503
    assert urls[0] == urls[1]
    assert urls[0].startswith("http://localhost:2")
