"""botocore's exceptions -> ours, by error code, and what to do after each. No other module knows AWS's codes or, where
needed, its messages."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore import exceptions as boto

from ecs_feature import exceptions as ours
from ecs_feature.aws.error_codes import (
    ACCESS_CODES,
    CREDENTIALS_CODES,
    REFUSED_CODES,
    RELAUNCH_CODES,
    SERVER_CODES,
    SERVICE_CODES,
    THROTTLING_CODES,
)

_CREDENTIALS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.LoginError,
    boto.RefreshWithMFAUnsupportedError,
)
# The request or the configuration is wrong: nothing was sent, and repeating it gives the same.
_REFUSED: Final = (
    boto.ParamValidationError,
    boto.MissingParametersError,
    boto.ValidationError,
    boto.BaseEndpointResolverError,
    boto.EndpointProviderError,
    boto.UnknownRegionError,
    boto.ServiceNotInRegionError,
    boto.DataNotFoundError,
    boto.ApiVersionNotFoundError,
    boto.UnknownServiceStyle,
    boto.UnknownClientMethodError,
    boto.OperationNotPageableError,
    boto.UnknownSignatureVersionError,
    boto.UnsupportedSignatureVersionError,
    boto.UnsupportedServiceProtocolsError,
    boto.UndefinedModelAttributeError,
    boto.ProfileNotFound,
    boto.ConfigNotFound,
    boto.ConfigParseError,
    boto.InvalidConfigError,
    boto.InvalidDefaultsMode,
    boto.InvalidEndpointConfigurationError,
    boto.InvalidEndpointDiscoveryConfigurationError,
    boto.InvalidRetryConfigurationError,
    boto.InvalidProxiesConfigError,
    boto.InvalidIMDSEndpointError,
    boto.InvalidIMDSEndpointModeError,
    boto.InvalidS3AddressingStyleError,
    boto.InvalidS3UsEast1RegionalEndpointConfigError,
    boto.InvalidSTSRegionalEndpointsConfigError,
    boto.InvalidChecksumConfigError,
    boto.InvalidDNSNameError,
    boto.InvalidHostLabelError,
    boto.InvalidExpressionError,
    boto.MissingDependencyException,
    boto.MD5UnavailableError,
    boto.UnsupportedOutpostResourceError,
    boto.UnsupportedS3ArnError,
    boto.UnsupportedS3ControlArnError,
    boto.UnsupportedS3AccesspointConfigurationError,
    boto.UnsupportedS3ConfigurationError,
    boto.UnsupportedS3ControlConfigurationError,
    boto.UnknownCredentialError,
    boto.UnknownTokenProviderError,
    boto.WaiterConfigError,
    boto.StubResponseError,
    boto.UnseekableStreamError,
    ours.ConfigurationError,
)
# Raised before the request is sent.
_NOT_SENT: Final = (
    *_REFUSED,
    *_CREDENTIALS,
    boto.SSLError,
    boto.ProxyConnectionError,
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
)
# dagster-io/dagster#33439: a throttled RunTask arrives as InvalidParameterException whose message ends in this.
_WRAPPED_THROTTLING: Final = re.compile(r"rate exceeded|too many requests|throttl", re.IGNORECASE)
_NO_SUCH_TASK: Final = re.compile(r"referenced task was not found", re.IGNORECASE)


class Reaction(enum.Enum):
    """What to do after a call has failed."""

    WAIT = "wait"
    """The same call may succeed later. Once a task runs, every failure counts as this one."""
    REFUSE = "refuse"
    """The same call fails again: tell the user."""
    RELAUNCH = "relaunch"
    """Nothing was started, for lack of room: launch again after a pause, as the launch's reason says."""


def reaction_to(error: BaseException) -> Reaction:
    """What to do after this error. An error that nobody knows is waited for: it may be ours. Pure."""
    if isinstance(error, boto.ClientError):
        return Reaction.WAIT if is_transient(error) else _reaction_to_code(error_code(error))
    if isinstance(error, ours.LaunchError):
        return Reaction.RELAUNCH
    if isinstance(error, ours.AwsError):
        return Reaction.WAIT if isinstance(error, ours.ThrottledError) else _reaction_to_code(error.code)
    return Reaction.REFUSE if isinstance(error, _REFUSED) else Reaction.WAIT


def may_pass(error: BaseException) -> bool:
    """Whether a call that failed like this may succeed later, as opposed to: a finding of ours, or AWS's last word."""
    if isinstance(error, ours.EcsFeatureError) and not isinstance(error, ours.AwsError):
        return False
    return reaction_to(error) is Reaction.WAIT


def _reaction_to_code(code: str) -> Reaction:
    if code in RELAUNCH_CODES:
        return Reaction.RELAUNCH
    return Reaction.REFUSE if code in REFUSED_CODES else Reaction.WAIT


def is_no_such_task(error: boto.ClientError) -> bool:
    """Whether StopTask says that it does not know the task: ``The referenced task was not found.``

    ECS has no code for it: it is an InvalidParameterException, as wrong parameters are.
    """
    return error_code(error) == "InvalidParameterException" and bool(_NO_SUCH_TASK.search(_message(error)))


def is_throttling(error: BaseException) -> bool:
    """Whether the call was throttled."""
    if isinstance(error, ours.ThrottledError):
        return True
    if not isinstance(error, boto.ClientError):
        return False
    return error_code(error) in THROTTLING_CODES or bool(_WRAPPED_THROTTLING.search(_message(error)))


def is_transient(error: BaseException) -> bool:
    """Whether it passes by itself: throttling, faults of AWS, a lost connection or answer.

    Access, credentials, TLS and proxies may pass, too (:func:`reaction_to`), with clients made anew.
    """
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return is_throttling(error) or status >= 500 or error_code(error) in SERVER_CODES
    return isinstance(
        error,
        ours.ThrottledError | boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError | TimeoutError,
    ) and not isinstance(error, boto.SSLError | boto.ProxyConnectionError)


def may_have_launched(error: BaseException) -> bool:
    """Whether RunTask may have started a task despite this error: no answer, a fault of AWS, or a conflict."""
    if not isinstance(error, boto.ClientError):
        return not isinstance(error, _NOT_SENT)
    conflict = error_code(error) == "ConflictException"
    return conflict or (is_transient(error) and not is_throttling(error))


def translate(error: Exception, *, subject: str = "") -> ours.EcsFeatureError:
    """Our exception for a botocore one, or for any other; its message is one sentence.

    :param subject: what the call was about, e.g. ``cluster 'features'``.
    """
    about = f" for {subject}" if subject else ""
    if isinstance(error, ours.EcsFeatureError):
        return error
    if isinstance(error, boto.ClientError):
        return _from_answer(error, about, subject)
    if isinstance(error, _CREDENTIALS):
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
    if isinstance(error, TimeoutError):
        return ours.EndpointUnreachableError(f"AWS gave no answer in time{about}; check the endpoint and the network.")
    said = _flat(error).rstrip(".")
    if not isinstance(error, boto.BotoCoreError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return ours.AwsError(f"AWS could not be asked{about}: {said}.")


def _from_answer(error: boto.ClientError, about: str, subject: str) -> ours.EcsFeatureError:
    code, operation = error_code(error), error.operation_name
    said = _flat(_message(error)).rstrip(".")
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


def error_code(error: boto.ClientError) -> str:
    """AWS's error code; empty when the answer has none."""
    return _said(error, "Code")


def _message(error: boto.ClientError) -> str:
    return _said(error, "Message")


def _said(error: boto.ClientError, field: str) -> str:
    return str(error.response.get("Error", {}).get(field) or "")


@contextmanager
def translated(subject: str = "") -> Iterator[None]:
    """Context manager: raises botocore's exceptions as ours."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError) as error:
        raise translate(error, subject=subject) from error


def _flat(text: object) -> str:
    return " ".join(str(text).split())
