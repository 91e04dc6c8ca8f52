"""What can go wrong, as one tree.

* EcsFeatureError
    * ConfigurationError               a value in the pipeline, an operator or the environment file is wrong
        * TaskDefinitionError          a file in include/taskdefs is wrong
        * SelectionError               the run's params name a shard or variant that the pipeline does not have
    * AwsError                         AWS (or the way to it) answered no; carries operation and error code
        * EndpointUnreachableError     no connection to the endpoint
        * CredentialsError             no credentials, or AWS rejected them
        * AccessDeniedError            the credentials may not do this
        * ClusterNotFoundError         the cluster does not exist or is not active
        * ServiceNotFoundError         the service does not exist or is not active
        * ThrottledError               too many calls; wait and try again
        * ClientTokenConflictError     the client token was used with other parameters; carries the tasks it started
    * MissingValueError                a task has left no value that a shard needs; it may be running again
    * LaunchError                      RunTask started nothing; carries the reason that AWS gave
    * ShardFailedError                 a shard's task ended badly; carries the outcome's kind
    * ServiceNotSteadyError            a service did not reach its desired count in time
    * LeaseError                       a lease could not be taken or given back
    * PublishError                     a variant's result is not whole, or could not be published

Messages are one sentence for the user: what is wrong, with which value, and what to do. All of them pickle.
"""

from __future__ import annotations


class EcsFeatureError(Exception):
    """Root of the tree."""


class ConfigurationError(EcsFeatureError, ValueError):
    """A value given by the user is wrong."""


class TaskDefinitionError(ConfigurationError):
    """A task definition file is wrong."""


class SelectionError(ConfigurationError):
    """The run's params select something that does not exist."""


class AwsError(EcsFeatureError):
    """AWS answered no.

    :param message: one sentence for the user.
    :param code: AWS's error code, e.g. ``ClusterNotFoundException``; empty when there was no answer.
    :param operation: the API operation, e.g. ``RunTask``.
    """

    def __init__(self, message: str, code: str = "", operation: str = "") -> None:
        super().__init__(message, code, operation)
        self.message = message
        self.code = code
        self.operation = operation

    def __str__(self) -> str:
        return self.message


class EndpointUnreachableError(AwsError):
    """No connection to the endpoint."""


class CredentialsError(AwsError):
    """No credentials, or AWS rejected them."""


class AccessDeniedError(AwsError):
    """The credentials are good, but may not do this."""


class ClusterNotFoundError(AwsError):
    """The cluster does not exist or is not active."""


class ServiceNotFoundError(AwsError):
    """The service does not exist or is not active."""


class ThrottledError(AwsError):
    """Too many calls; the same call may go through later."""


class ClientTokenConflictError(AwsError):
    """The client token was used before, with other parameters.

    :param task_arns: the tasks that the first call started.
    """

    def __init__(self, message: str, code: str = "", operation: str = "", task_arns: tuple[str, ...] = ()) -> None:
        super().__init__(message, code, operation)
        self.args = (message, code, operation, task_arns)
        self.task_arns = task_arns


class MissingValueError(EcsFeatureError):
    """A task of the run has left no XCom that a shard needs."""


class LaunchError(EcsFeatureError):
    """RunTask answered, but started nothing.

    :param reason: AWS's own words, e.g. ``Capacity is unavailable at this time.``
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ShardFailedError(EcsFeatureError):
    """A shard's ECS task ended badly.

    :param message: one sentence: what happened, to which shard, what to do.
    :param kind: the outcome's kind (a value of :class:`ecs_feature.tasks.outcomes.Kind`).
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message, kind)
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return self.message


class ServiceNotSteadyError(EcsFeatureError):
    """A service did not reach its desired count in time."""


class LeaseError(EcsFeatureError):
    """A lease could not be taken or given back."""


class PublishError(EcsFeatureError):
    """A variant's result is not whole, or could not be published.

    :ivar passes: whether the same publish may go through later.
    """

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes
