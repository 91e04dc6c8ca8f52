"""Values of a container's `secrets`, from Secrets Manager and the SSM Parameter Store."""

from __future__ import annotations

import json

from botocore.exceptions import BotoCoreError, ClientError

from fargate_local.engine.awslogs import Clients
from fargate_local.errors import StartFailure

_FAILED = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "


def resolve(clients: Clients, value_from: str, region: str) -> str:
    """The value that `valueFrom` names: a secret's ARN (with `:json-key:stage:version`), a parameter's ARN or name.

    Source: AmazonECS/latest/developerguide/secrets-envvar-secrets-manager. Blocks: for worker threads.

    :raises StartFailure: ResourceInitializationError, it cannot be read.
    """
    if ":secretsmanager:" in value_from:
        return _secret(clients, value_from, region)
    return _parameter(clients, value_from, region)


def _secret(clients: Clients, value_from: str, region: str) -> str:
    parts = value_from.split(":")
    arn, extra = ":".join(parts[:7]), [*parts[7:], "", "", ""]
    wanted = {"SecretId": arn} | ({"VersionStage": extra[1]} if extra[1] else {})
    wanted |= {"VersionId": extra[2]} if extra[2] else {}
    try:
        text: str = clients.client("secretsmanager", parts[3] or region).get_secret_value(**wanted)["SecretString"]
    except (ClientError, BotoCoreError, KeyError, IndexError, ValueError) as error:
        raise StartFailure(
            f"{_FAILED}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
            f"secret {arn} from secrets manager: {_reason(error)}"
        ) from None
    if not extra[0]:
        return text
    try:
        return str(json.loads(text)[extra[0]])
    except (ValueError, KeyError, TypeError):
        raise StartFailure(
            f"{_FAILED}unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret "
            f"from Secrets Manager did not contain json key {extra[0]}"
        ) from None


def _parameter(clients: Clients, value_from: str, region: str) -> str:
    name = value_from
    if value_from.startswith("arn:"):
        region = value_from.split(":")[3] or region
        name = value_from.partition(":parameter")[2]
        # The ARN of a parameter without a path has a slash that its name has not.
        name = name[1:] if name.count("/") == 1 else name
    ssm = clients.client("ssm", region)
    try:
        value: str = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except (ClientError, BotoCoreError):
        try:
            value = ssm.get_parameter(Name=f"/{name}", WithDecryption=True)["Parameter"]["Value"]
        except (ClientError, BotoCoreError):
            raise StartFailure(
                f"{_FAILED}unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid "
                f"parameters: {name}"
            ) from None
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return "the secret has no SecretString"
