"""Calls that are not done and get no answer of their service, but nonsense or an end; and whose calls they are."""

from __future__ import annotations

import errno
from typing import Any

import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
)
from botocore.parsers import ResponseParserError

from fargate_local import LocalFargate
from fargate_local.fault_rules import parse

from .conftest import CLUSTER, Stack, settings

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def simulated():
    with LocalFargate(settings(runtime="simulated", images=None, quotas=False)) as aws:
        yield Stack(aws)


@pytest.fixture
def faults(simulated: Stack):
    url = f"{simulated.aws.endpoint_url}/_fargate_local/faults"
    yield lambda **rule: httpx.post(url, json=rule).raise_for_status().json()
    assert httpx.delete(url).status_code == 204


@pytest.mark.parametrize("status", [200, 503])
def test_a_call_of_ecs_gets_the_text_instead_and_is_not_done(simulated: Stack, faults: Any, status: int) -> None:
    text = "<html>Sign in</html>"
    faults(match={"operation": "CreateCluster"}, answer=text, media_type="text/html", status=status, times=1)
    answer = httpx.post(
        simulated.aws.endpoint_url,
        headers={
            "x-amz-target": "AmazonEC2ContainerServiceV20141113.CreateCluster",
            "authorization": "AWS4-HMAC-SHA256 Credential=local/20130101/us-east-1/ecs/aws4_request",
        },
        json={"clusterName": "undone"},
    )
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["content-type"].startswith("text/html")
    assert simulated.ecs.describe_clusters(clusters=["undone"])["clusters"] == []
    assert [call.status for call in simulated.aws.calls("CreateCluster")][-1] == status


def test_boto3_takes_a_page_of_a_proxy_for_an_answer_without_content(simulated: Stack, faults: Any) -> None:
    """Why whoever reads an answer must look whether it is one."""
    faults(match={"operation": "DescribeTasks"}, answer="<html>Sign in</html>", media_type="text/html")
    assert "tasks" not in simulated.ecs.describe_tasks(cluster=CLUSTER, tasks=["a"])


def test_a_call_of_another_service_gets_the_text_instead(simulated: Stack, faults: Any) -> None:
    s3 = simulated.aws.client("s3", config=ONCE)
    faults(match={"service_api": "s3"}, answer="nonsense")
    with pytest.raises((ResponseParserError, ClientError)):
        s3.list_buckets()
    answer = s3.head_object(Bucket="none", Key="a")
    assert (answer["ContentLength"], answer.get("ETag")) == (len("nonsense"), None)


@pytest.mark.parametrize("effect", ["close", "reset"])
@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [("ecs", "CreateCluster", {"clusterName": "broken"}), ("s3", "CreateBucket", {"Bucket": "broken"})],
)
def test_a_call_whose_connection_ends_is_not_done(
    simulated: Stack, faults: Any, effect: str, service: str, operation: str, request_: dict[str, str]
) -> None:
    faults(match={"operation": operation, "service_api": service}, times=1, **{effect: True})
    method = {"CreateCluster": "create_cluster", "CreateBucket": "create_bucket"}[operation]
    with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
        getattr(simulated.aws.client(service, config=ONCE), method)(**request_)
    assert simulated.ecs.describe_clusters(clusters=["broken"])["clusters"] == []
    assert "broken" not in [bucket["Name"] for bucket in simulated.aws.client("s3").list_buckets()["Buckets"]]


@pytest.mark.parametrize(("effect", "is_reset"), [("close", False), ("reset", True)])
def test_a_reset_is_one_of_tcp(simulated: Stack, faults: Any, effect: str, is_reset: bool) -> None:
    faults(match={"operation": "*"}, times=1, **{effect: True})
    headers = {
        "x-amz-target": "AmazonEC2ContainerServiceV20141113.ListClusters",
        "authorization": "AWS4-HMAC-SHA256 Credential=local/20130101/us-east-1/ecs/aws4_request",
    }
    with pytest.raises(httpx.TransportError) as caught:
        httpx.post(simulated.aws.endpoint_url, headers=headers, json={})
    causes, error = [], caught.value
    while error is not None:
        causes.append(getattr(error, "errno", None))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    assert (errno.ECONNRESET in causes) is is_reset


def test_only_the_calls_of_the_caller_that_is_named_fail(simulated: Stack, faults: Any) -> None:
    faults(match={"service_api": "*", "user_agent": "chaos/ours"}, error="ServerException")
    for service, call in (("ecs", "list_clusters"), ("s3", "list_buckets")):
        mine = simulated.aws.client(service, config=ONCE.merge(Config(user_agent_extra="chaos/ours")))
        other = simulated.aws.client(service, config=ONCE.merge(Config(user_agent_extra="chaos/other")))
        getattr(other, call)()
        with pytest.raises(ClientError):
            getattr(mine, call)()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"match": {"family": "a", "user_agent": "x"}, "exit_code": 1}, "match has user_agent: that is for calls"),
        ({"match": {"operation": "*"}, "answer": 7}, "answer is 7: it must be the text of the answer"),
        ({"match": {"operation": "*"}, "reset": False}, "reset is False: it must be true"),
        ({"match": {"operation": "*"}, "close": 1}, "close is 1: it must be true"),
        (
            {"match": {"operation": "*"}, "answer": "", "status": 199},
            "status is 199: it must be an HTTP status between",
        ),
        (
            {"match": {"operation": "*"}, "error": "A", "status": 200},
            "status is 200: it must be an HTTP status between 4",
        ),
        ({"match": {"operation": "*"}, "answer": "", "media_type": 1}, "media_type is 1: it must be text"),
        ({"match": {"family": "a"}, "reset": True}, "the rule has reset: with this match it may have"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        parse(rule)
