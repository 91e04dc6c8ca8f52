"""S3 and the other services behind the same endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from fargate_local.moto_backend import MotoBackend

from .conftest import Stack

BUCKET = "ecs-feature-local"


@pytest.fixture(scope="module")
def s3(stack: Stack):
    client = stack.aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


def test_a_big_object_comes_back_as_it_was(s3):
    body = bytes(range(256)) * 4 * 2**16
    s3.put_object(Bucket=BUCKET, Key="big", Body=io.BytesIO(body))
    assert s3.head_object(Bucket=BUCKET, Key="big")["ContentLength"] == len(body)
    got = s3.get_object(Bucket=BUCKET, Key="big")["Body"].read()
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()
    assert s3.get_object(Bucket=BUCKET, Key="big", Range="bytes=256-259")["Body"].read() == b"\0\1\2\3"


def test_a_multipart_upload_is_put_together(s3):
    part = b"x" * (5 * 2**20)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    etags = [
        s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, part), (2, b"end"))
    ]
    parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == part + b"end"


@pytest.mark.parametrize("key", ["a b/c+d=e", "ds=2013-01-01/ünï.parquet", "a//b", "per%cent", "x/../y"])
def test_keys_keep_their_characters(s3, key):
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"1", Metadata={"with_underscore": "1"})
    head = s3.head_object(Bucket=BUCKET, Key=key)
    assert head["Metadata"] == {"with_underscore": "1"}
    assert key in [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]


@pytest.mark.parametrize("chunked_transfer", [False, True], ids=["with length", "chunked transfer"])
def test_aws_chunked_bodies_are_unpacked(stack: Stack, s3, chunked_transfer):
    content = b"hello, chunks"
    body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(content), content)
    url = f"{stack.aws.endpoint_url}/{BUCKET}/chunked-{chunked_transfer}"
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(content)),
    }
    request = AWSRequest("PUT", url, headers, b"")
    S3SigV4Auth(Credentials("local", "local"), "s3", "us-east-1").add_auth(request)
    sent = dict(request.headers.items()) | headers
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    if chunked_transfer:
        connection.request("PUT", urlsplit(url).path, iter([body[:7], body[7:]]), sent, encode_chunked=True)
    else:
        connection.request("PUT", urlsplit(url).path, body, sent | {"content-length": str(len(body))})
    assert connection.getresponse().status == 200
    connection.close()
    assert s3.get_object(Bucket=BUCKET, Key=f"chunked-{chunked_transfer}")["Body"].read() == content


def test_of_many_conditional_puts_exactly_one_wins(s3):
    def create(number: int) -> str:
        try:
            s3.put_object(Bucket=BUCKET, Key="once", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "won"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(16)))
    assert results.count("won") == 1
    assert results.count("PreconditionFailed") == 15


@pytest.mark.parametrize(("method", "at_once"), [("PUT", 1), ("GET", 4)])
def test_s3_writes_one_after_the_other_and_reads_together(method, at_once):
    backend, inside, most = MotoBackend(), threading.Semaphore(0), []
    active: set[int] = set()

    def application(environ, start_response):
        active.add(threading.get_ident())
        most.append(len(active))
        inside.acquire(timeout=0.2)
        active.discard(threading.get_ident())
        start_response("200 OK", [])
        return [b""]

    backend._app = application
    headers = [("authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, x")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: backend.call(method, f"/b/{key}", headers, b""), range(4)))
    assert max(most) == at_once


def test_a_swap_needs_the_etag_that_was_read(s3):
    old = s3.put_object(Bucket=BUCKET, Key="swap", Body=b"1")["ETag"]
    new = s3.put_object(Bucket=BUCKET, Key="swap", Body=b"2", IfMatch=old)["ETag"]
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=BUCKET, Key="swap", Body=b"3", IfMatch=old)
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=BUCKET, Key="swap")["Body"].read() == b"2"
    assert s3.head_object(Bucket=BUCKET, Key="swap")["ETag"] == new


async def test_many_uploads_at_once_work_from_an_async_client(stack: Stack, s3):
    from aiobotocore.session import get_session

    async with get_session().create_client(
        "s3", endpoint_url=stack.aws.endpoint_url, region_name="us-east-1",
        aws_access_key_id="local", aws_secret_access_key="local",
    ) as client:  # fmt: skip
        await asyncio.gather(
            *(client.put_object(Bucket=BUCKET, Key=f"many/{i}", Body=b"%d" % i * 100_000) for i in range(40))
        )
        answer = await client.get_object(Bucket=BUCKET, Key="many/39")
        assert await answer["Body"].read() == b"39" * 100_000
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="many/")["KeyCount"] == 40


def test_a_presigned_url_works_without_further_credentials(s3):
    import httpx

    s3.put_object(Bucket=BUCKET, Key="signed", Body=b"yes")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "signed"})
    assert httpx.get(url).content == b"yes"
    assert httpx.get(url.replace("local", "other", 1).replace("Credential=local", "Credential=x")).status_code in (
        403,
        404,
    )


@pytest.mark.parametrize(
    ("service", "call", "request_"),
    [
        ("iam", "list_roles", {}),
        ("sts", "get_caller_identity", {}),
        ("service-quotas", "list_aws_default_service_quotas", {"ServiceCode": "vpc"}),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "ecs"}),
        ("elbv2", "describe_load_balancers", {}),
        ("ssm", "describe_parameters", {}),
        ("secretsmanager", "list_secrets", {}),
        ("logs", "describe_log_groups", {}),
    ],
)
def test_the_other_services_answer(stack: Stack, service, call, request_):
    answer = getattr(stack.aws.client(service), call)(**request_)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_what_moto_does_not_have_is_said_in_one_answer(stack: Stack):
    with pytest.raises(ClientError) as caught:
        stack.aws.client("service-quotas").list_service_quotas(ServiceCode="fargate")
    assert caught.value.response["Error"] == {
        "Code": "NotImplemented",
        "Message": "moto: The list_service_quotas action has not been implemented",
    }
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
