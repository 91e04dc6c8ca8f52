"""S3 addresses."""

from __future__ import annotations

from ecs_feature.exceptions import PublishError


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` -> (bucket, key); an object's key may have every character, also ``#`` and ``?``.

    :raises PublishError: when it is not such a URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise PublishError(f"{uri!r} is not an S3 URI; write s3://bucket/key.")
    return bucket, key
