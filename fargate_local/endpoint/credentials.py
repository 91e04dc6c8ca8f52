"""Who may call: the access key id `local`, and the keys that the emulated STS and IAM hand out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from fargate_local.errors import ApiError

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(?:[^/]*/){2}([^/]+)/")


def access_key_of(headers: Mapping[str, str], query: str) -> tuple[str | None, str]:
    """The access key id of a request and the service it was signed for; (None, "") for an unsigned one."""
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    if found:
        return found.group(1), found.group(2)
    signed = parse_qs(query).get("X-Amz-Credential")
    if signed:
        key, *scope = signed[0].split("/")
        return key, scope[2] if len(scope) > 2 else ""
    old = parse_qs(query).get("AWSAccessKeyId")
    return (old[0], "s3") if old else (None, "")


def json_refusal(access_key: str | None) -> ApiError:
    """How services with the json protocol, ECS among them, refuse a call."""
    if access_key is None:
        return ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    return ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")


def xml_refusal(service: str) -> tuple[int, str]:
    """HTTP status and body with which S3 and the query protocol's services refuse an access key."""
    if service == "s3":
        message = "The AWS Access Key Id you provided does not exist in our records."
        return 403, xml_error("s3", "InvalidAccessKeyId", message)
    return 403, xml_error(service, "InvalidClientTokenId", "The security token included in the request is invalid.")


def xml_error(service: str, code: str, message: str) -> str:
    """An error of S3, or of a service with the query protocol."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    if service == "s3":
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'
    return f"<ErrorResponse>{error}<RequestId>fargate-local</RequestId></ErrorResponse>"
