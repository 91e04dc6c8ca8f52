"""Which operation of which service an HTTP request is, and how that service answers with an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qs, parse_qsl
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ServiceModel

from fargate_local.errors import ApiError

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class CallName:
    """A call's name.

    :param service_api: the name that the call is signed for, such as s3 or logs; "" when it is not known.
    :param operation: "" when it is not known.
    :param protocol: json, query, ec2 or rest-xml.
    """

    service_api: str
    operation: str
    protocol: str

    def error_body(self, error: ApiError) -> tuple[str, str]:
        """The body of an error of this service, and its media type; the JSON one is `error.body()`."""
        code, message = escape(error.code), escape(error.message)
        plain = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if self.protocol == "rest-xml":
            return f'<?xml version="1.0" encoding="UTF-8"?>\n{plain}', "application/xml"
        if self.protocol == "ec2":
            return f"<Response><Errors>{plain}</Errors><RequestID>fargate-local</RequestID></Response>", "text/xml"
        typed = plain.replace("<Error>", "<Error><Type>Sender</Type>", 1)
        return f"<ErrorResponse>{typed}<RequestId>fargate-local</RequestId></ErrorResponse>", "text/xml"


def name_of(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, signed_for: str) -> CallName:
    """The name of a call.

    :param path: unquoted or not, with the bucket's name in it.
    :param signed_for: the service of the signature's scope, "" for an unsigned call.
    """
    target = headers.get("x-amz-target", "")
    if target:
        return CallName(signed_for, target.rpartition(".")[2], "json")
    form = body.decode("latin-1") if headers.get("content-type", "").startswith(FORM) else query
    action = parse_qs(form).get("Action") if "Action=" in form else None
    if action:
        return CallName(signed_for, action[0], "ec2" if signed_for == "ec2" else "query")
    if signed_for not in ("s3", ""):
        return CallName(signed_for, "", "rest-xml")
    names = frozenset(name for name, _ in parse_qsl(query, keep_blank_values=True))
    bucket, _, key = path.lstrip("/").partition("/")
    copied = "x-amz-copy-source" in headers
    return CallName("s3", _s3_operation(method, bool(bucket), bool(key), names, copied), "rest-xml")


@cache
def _s3_operation(method: str, has_bucket: bool, has_key: bool, names: frozenset[str], copied: bool) -> str:
    """The operation of S3 that needs most of what the request has; "" when there is none."""
    given = names | ({"x-amz-copy-source"} if copied else set())
    fitting = [
        (len(needed), operation)
        for operation, shape, needed in _s3_operations()
        if shape == (method, has_bucket, has_key) and needed <= given
    ]
    return max(fitting, default=(0, ""), key=lambda pair: pair[0])[1]


@cache
def _s3_operations() -> tuple[tuple[str, tuple[str, bool, bool], frozenset[str]], ...]:
    """Each operation in botocore's model: method, whether it has a bucket and a key, and what it needs beside them."""
    model = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, literal = operation.http["requestUri"].partition("?")
        if path not in ("/", "/{Bucket}", "/{Bucket}/{Key+}"):
            continue
        needed = {key for key, _ in parse_qsl(literal, keep_blank_values=True)}
        for member in operation.input_shape.required_members if operation.input_shape else ():
            place = operation.input_shape.members[member].serialization
            if place.get("location") == "querystring" or place.get("name") == "x-amz-copy-source":
                needed.add(place["name"])
        shape = (operation.http["method"], "{Bucket}" in path, "{Key+}" in path)
        found.append((name, shape, frozenset(needed)))
    return tuple(found)
