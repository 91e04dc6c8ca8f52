"""botocore's exceptions -> ours, by error code. No other module knows AWS's codes or, where needed, its messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore import exceptions as boto

from ecs_feature import exceptions as ours

# AWSSDK standard retry mode's own list (botocore/retries/standard.py) plus ECS's "Rate exceeded" wrapped in others.
THROTTLING_CODES: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "SlowDown",
        "EC2ThrottledException",
        "TransactionInProgressException",
    }
)
CREDENTIALS_CODES: Final = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "ExpiredToken",
        "ExpiredTokenException",
        "MissingAuthenticationToken",
        "AuthFailure",
    }
)
# S3 answers HEAD without a body, so botocore knows the status only.
ACCESS_CODES: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "403", "Forbidden"})
NOT_THERE_CODES: Final = frozenset({"404", "NoSuchKey", "NotFound"})
SERVER_CODES: Final = frozenset(
    {
        "ServerException",
        "InternalFailure",
        "InternalServerError",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "503",
        "500",
    }
)
SERVICE_CODES: Final = frozenset({"ServiceNotFoundException", "ServiceNotActiveException"})
# dagster-io/dagster#33439: a throttled RunTask arrives as InvalidParameterException whose message ends in this.
_WRAPPED_THROTTLING: Final = re.compile(r"rate exceeded|too many requests|throttl", re.IGNORECASE)


def is_throttling(error: BaseException) -> bool:
    """Whether the call was throttled."""
    if isinstance(error, ours.ThrottledError):
        return True
    if not isinstance(error, boto.ClientError):
        return False
    answer = error.response.get("Error", {})
    return answer.get("Code") in THROTTLING_CODES or bool(_WRAPPED_THROTTLING.search(answer.get("Message", "")))


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: throttling, faults of AWS, a lost connection or answer."""
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return is_throttling(error) or status >= 500 or error.response.get("Error", {}).get("Code") in SERVER_CODES
    return isinstance(
        error,
        ours.ThrottledError | boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError | TimeoutError,
    ) and not isinstance(error, boto.SSLError | boto.ProxyConnectionError)


def may_have_launched(error: BaseException) -> bool:
    """Whether RunTask may have started a task despite this error: no answer, a fault of AWS, or a conflict."""
    if not isinstance(error, boto.ClientError):
        return True
    conflict = error.response.get("Error", {}).get("Code") == "ConflictException"
    return conflict or (is_transient(error) and not is_throttling(error))


def translate(error: Exception, *, subject: str = "") -> ours.EcsFeatureError:
    """Our exception for a botocore one; its message is one sentence.

    :param subject: what the call was about, e.g. ``cluster 'features'``.
    """
    about = f" for {subject}" if subject else ""
    if isinstance(error, boto.ClientError):
        return _from_answer(error, about, subject)
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
        return ours.CredentialsError(
            f"No AWS credentials were found{about} ({_flat(error)}); set them in the aws connection or its role."
        )
    if isinstance(error, boto.NoRegionError):
        return ours.ConfigurationError(
            f"No AWS region is given{about}; set region_name or the aws connection's region."
        )
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        endpoint = getattr(error, "kwargs", {}).get("endpoint_url", "the AWS endpoint")
        return ours.EndpointUnreachableError(
            f"{endpoint} cannot be reached{about} ({type(error).__name__}); check AWS_ENDPOINT_URL, the aws "
            "connection's endpoint_url, and the network."
        )
    return ours.AwsError(f"AWS could not be asked{about}: {_flat(error)}.")


def _from_answer(error: boto.ClientError, about: str, subject: str) -> ours.EcsFeatureError:
    answer: dict[str, Any] = error.response.get("Error", {})
    code, operation = answer.get("Code", ""), error.operation_name
    said = _flat(answer.get("Message", "")).rstrip(".")
    if code in CREDENTIALS_CODES:
        return ours.CredentialsError(
            f"AWS rejected the credentials{about} ({code}: {said}); check the aws connection's key, token and role.",
            code,
            operation,
        )
    if is_throttling(error):
        return ours.ThrottledError(
            f"{operation} was throttled{about} ({code}: {said}); try again later.", code, operation
        )
    if code in ACCESS_CODES:
        return ours.AccessDeniedError(
            f"{operation} was denied{about} ({code}: {said}); allow it in Airflow's role.", code, operation
        )
    if code == "ClusterNotFoundException":
        return ours.ClusterNotFoundError(
            f"{subject or 'The cluster'} does not exist in this account and region; create it or correct the "
            f"pipeline's cluster ({operation}: {code}).",
            code,
            operation,
        )
    if code in SERVICE_CODES:
        return ours.ServiceNotFoundError(
            f"{subject or 'The service'} does not exist or is not active; create it or correct its name "
            f"({operation}: {code}).",
            code,
            operation,
        )
    if code == "ConflictException":
        arns = tuple(error.response.get("resourceIds", ()))
        return ours.ClientTokenConflictError(f"{operation}{about}: {said}.", code, operation, arns)
    return ours.AwsError(f"{operation} failed{about}: {said} ({code}).", code, operation)


@contextmanager
def translated(subject: str = "") -> Iterator[None]:
    """Context manager: raises botocore's exceptions as ours."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError) as error:
        raise translate(error, subject=subject) from error


def _flat(text: object) -> str:
    return " ".join(str(text).split())
