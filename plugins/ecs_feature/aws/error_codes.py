"""AWS's error codes by meaning: those of every service, and those that the models of ECS, Logs, S3 and SQS list."""

from __future__ import annotations

from typing import Final

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
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
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
REFUSED_CODES: Final = frozenset(
    {
        # ECS
        "AttributeLimitExceededException",
        "BlockedException",
        "ClientException",
        "ClusterContainsCapacityProviderException",
        "ClusterContainsContainerInstancesException",
        "ClusterContainsServicesException",
        "ClusterContainsTasksException",
        "ClusterNotFoundException",
        "ConflictException",
        "DaemonNotActiveException",
        "DaemonNotFoundException",
        "GatewayNotFoundException",
        "InvalidParameterException",
        "MissingVersionException",
        "NamespaceNotFoundException",
        "NoUpdateAvailableException",
        "PlatformTaskDefinitionIncompatibilityException",
        "PlatformUnknownException",
        "ResourceInUseException",
        "ResourceNotFoundException",
        "ServiceDeploymentNotFoundException",
        "ServiceNotActiveException",
        "ServiceNotFoundException",
        "TargetNotConnectedException",
        "TargetNotFoundException",
        "TaskSetNotFoundException",
        "UnsupportedFeatureException",
        # CloudWatch Logs
        "DataAlreadyAcceptedException",
        "InvalidOperationException",
        "InvalidSequenceTokenException",
        "MalformedQueryException",
        "ResourceAlreadyExistsException",
        "TooManyTagsException",
        "ValidationException",
        # S3
        "AnnotationLimitExceeded",
        "AnnotationNameTooLong",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "EncryptionTypeMismatch",
        "IdempotencyParameterMismatch",
        "InvalidAnnotationName",
        "InvalidObjectState",
        "InvalidPrefix",
        "InvalidRequest",
        "InvalidWriteOffset",
        "NoSuchAnnotation",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchUpload",
        "ObjectAlreadyInActiveTierError",
        "ObjectNotInActiveTierError",
        "TooManyParts",
        "UnsupportedMediaType",
        # SQS
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidAddress",
        "InvalidAttributeName",
        "InvalidAttributeValue",
        "InvalidBatchEntryId",
        "InvalidIdFormat",
        "InvalidMessageContents",
        "InvalidSecurity",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsNotFound",
        "KmsOptInRequired",
        "MessageNotInflight",
        "QueueDoesNotExist",
        "QueueNameExists",
        "ReceiptHandleIsInvalid",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
        # of every service
        "InvalidAction",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "MissingAction",
        "MissingParameter",
        "SerializationException",
        "UnknownOperationException",
        "ValidationError",
    }
)
RELAUNCH_CODES: Final = frozenset({"LimitExceededException", "ServiceQuotaExceededException"})
