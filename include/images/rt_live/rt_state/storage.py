"""S3: whole objects in, whole objects out."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rt_state.errors import JobError

_MISSING = ("NoSuchKey", "404")


class Storage:
    """The S3 of the task role (or of the environment's credentials); errors are one sentence with the
    object's URI."""

    def __init__(self) -> None:
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 6},
            max_pool_connections=1,
        )
        try:
            self._client: Any = botocore.session.get_session().create_client("s3", config=config)
        except BotoCoreError as error:
            raise JobError(f"no S3 client can be made: {error}.") from None

    def read(self, uri: str) -> bytes | None:
        """The object's content, or None where there is none (the role needs s3:ListBucket to be told so)."""
        bucket, key = _split(uri)
        try:
            body: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise _failure("read", uri, error) from None
        except BotoCoreError as error:
            raise _failure("read", uri, error) from None
        return body

    def write(self, uri: str, content: bytes, content_type: str) -> None:
        """Puts the object in one request: S3 shows it whole or not at all."""
        bucket, key = _split(uri)
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            raise _failure("written", uri, error) from None


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _failure(verb: str, uri: str, error: Exception) -> JobError:
    reason = " ".join(str(error).split()).rstrip(".")
    return JobError(f"{uri} could not be {verb}: {reason}.")
