"""S3 addresses, and what is an answer of S3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecs_feature.exceptions import AwsError, PublishError


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` -> (bucket, key); an object's key may have every character, also ``#`` and ``?``.

    :raises PublishError: when it is not such a URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise PublishError(f"{uri!r} is not an S3 URI; write s3://bucket/key.")
    return bucket, key


def of_s3(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer to GetObject, HeadObject or PutObject, if S3 gave it.

    Each has an ETag (AmazonS3/latest/API/API_GetObject.html). The page of a proxy in between has none, and botocore
    takes it for the object when its status is 200.

    :raises AwsError: it has none; to be asked again.
    """
    if not answer.get("ETag"):
        if (body := answer.get("Body")) is not None:
            body.close()  # or its connection stays open until it is collected
        raise AwsError("S3's answer has no ETag, so it is not S3's; is there a proxy in between?")
    return answer
