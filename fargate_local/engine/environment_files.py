"""Variables of a container's `environmentFiles`, from S3."""

from __future__ import annotations

from collections.abc import Iterable

from botocore.exceptions import BotoCoreError, ClientError

from fargate_local.engine.awslogs import Clients
from fargate_local.errors import StartFailure


def read_all(clients: Clients, arns: Iterable[str], region: str) -> dict[str, str]:
    """The variables of all files; of two values of a variable, the first file's counts. Blocks: for worker threads.

    Source: AmazonECS/latest/developerguide/use-environment-file ("they're processed from the top down").

    :raises StartFailure: ResourceInitializationError, a file cannot be read.
    """
    found: dict[str, str] = {}
    for arn in arns:
        bucket, _, key = arn.partition(":::")[2].partition("/")
        try:
            body = clients.client("s3", region).get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise StartFailure(
                f"ResourceInitializationError: failed to download env files: file download command: non empty error "
                f"stream: {arn}: {error}"
            ) from None
        for name, value in variables(body.decode("utf-8", "replace")).items():
            found.setdefault(name, value)
    return found


def variables(text: str) -> dict[str, str]:
    """The variables of one file: lines NAME=VALUE, taken as they are; lines that begin with # are comments."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value for name, equals, value in pairs if name.strip() and equals}
