"""What a user reads of an error of AWS: one sentence that says what to do, in an exception of its own kind."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto

from ecs_feature import exceptions as ours
from ecs_feature.aws.errors import error_code, translate, translated

SUBJECT = "cluster 'features'"


def answer(code: Any, message: Any = "No.", **more: Any) -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": message}, **more}, "RunTask")  # type: ignore[arg-type]


# error, our class, the sentence with "{for}" where the subject comes in
SENTENCES: list[tuple[Exception, type[Exception], str]] = [
    (
        answer("ExpiredTokenException", "It\nhas  expired."),
        ours.CredentialsError,
        "AWS rejected the credentials{for} (ExpiredTokenException: It has expired); check the aws connection's key, "
        "token and role.",
    ),
    (
        answer("ThrottlingException", "Rate exceeded"),
        ours.ThrottledError,
        "RunTask was throttled{for} (ThrottlingException: Rate exceeded); try again later.",
    ),
    (
        answer("ClientException", "Too many requests"),
        ours.ThrottledError,
        "RunTask was throttled{for} (ClientException: Too many requests); try again later.",
    ),
    (
        answer("AccessDeniedException"),
        ours.AccessDeniedError,
        "RunTask was denied{for} (AccessDeniedException: No); allow it in Airflow's role.",
    ),
    (answer("InvalidParameterException"), ours.AwsError, "RunTask failed{for}: No (InvalidParameterException)."),
    (answer(None, None), ours.AwsError, "RunTask failed{for}:  ()."),
    (answer("ConflictException"), ours.ClientTokenConflictError, "RunTask{for}: No."),
    (
        boto.NoCredentialsError(),
        ours.CredentialsError,
        "No AWS credentials were found{for} (Unable to locate credentials); set them in the aws connection or its "
        "role.",
    ),
    (
        boto.NoRegionError(),
        ours.ConfigurationError,
        "No AWS region is given{for}; set region_name or the aws connection's region.",
    ),
    (
        boto.EndpointConnectionError(endpoint_url="http://here"),
        ours.EndpointUnreachableError,
        "http://here cannot be reached{for} (EndpointConnectionError); check AWS_ENDPOINT_URL, the aws connection's "
        "endpoint_url, and the network.",
    ),
    (
        boto.HTTPClientError(error="x"),
        ours.EndpointUnreachableError,
        "the AWS endpoint cannot be reached{for} (HTTPClientError); check AWS_ENDPOINT_URL, the aws connection's "
        "endpoint_url, and the network.",
    ),
    (
        TimeoutError(),
        ours.EndpointUnreachableError,
        "AWS gave no answer in time{for}; check the endpoint and the network.",
    ),
    (
        boto.DataNotFoundError(data_path="ecs"),
        ours.AwsError,
        "AWS could not be asked{for}: Unable to load data for: ecs.",
    ),
    (KeyError("tasks"), ours.AwsError, "AWS could not be asked{for}: KeyError: 'tasks'."),
    (RuntimeError("It ended."), ours.AwsError, "AWS could not be asked{for}: RuntimeError: It ended."),
    (ValueError(), ours.AwsError, "AWS could not be asked{for}: ValueError."),
]


@pytest.mark.parametrize("subject", ["", SUBJECT])
@pytest.mark.parametrize(("error", "kind", "sentence"), SENTENCES, ids=[sentence[:40] for _, _, sentence in SENTENCES])
def test_an_error_of_aws_is_one_sentence(error: Exception, kind: type[Exception], sentence: str, subject: str) -> None:
    made = translate(error, subject=subject)
    assert type(made) is kind
    assert str(made) == sentence.replace("{for}", f" for {subject}" if subject else "")


NOT_THERE = [
    ("ClusterNotFoundException", ours.ClusterNotFoundError),
    ("ServiceNotFoundException", ours.ServiceNotFoundError),
    ("ServiceNotActiveException", ours.ServiceNotFoundError),
]


@pytest.mark.parametrize(("code", "kind"), NOT_THERE)
@pytest.mark.parametrize("subject", ["", SUBJECT])
def test_what_is_not_there_is_named(code: str, kind: type[Exception], subject: str) -> None:
    made = translate(answer(code), subject=subject)
    assert type(made) is kind
    cluster = code.startswith("Cluster")
    assert str(made) == (
        f"{subject or 'The cluster'} does not exist in this account and region; create it or correct the pipeline's "
        f"cluster (RunTask: {code})."
        if cluster
        else f"{subject or 'The service'} does not exist or is not active; create it or correct its name "
        f"(RunTask: {code})."
    )


@pytest.mark.parametrize(
    "code",
    ["ExpiredToken", "Throttling", "AccessDenied", "ClusterNotFoundException", "ServiceNotFoundException", "Unheard"],
)
def test_the_code_and_the_operation_stay_with_the_error(code: str) -> None:
    made = translate(answer(code))
    assert isinstance(made, ours.AwsError)
    assert (made.code, made.operation) == (code, "RunTask")


@pytest.mark.parametrize(("given", "arns"), [({"resourceIds": ["arn:1", "arn:2"]}, ("arn:1", "arn:2")), ({}, ())])
def test_a_conflict_names_the_tasks_that_the_token_has_started(given: dict[str, Any], arns: tuple[str, ...]) -> None:
    made = translate(answer("ConflictException", **given))
    assert isinstance(made, ours.ClientTokenConflictError)
    assert (made.task_arns, made.code, made.operation) == (arns, "ConflictException", "RunTask")


def test_an_error_of_ours_is_not_translated_again() -> None:
    error = ours.LaunchError("RESOURCE:CPU")
    assert translate(error, subject=SUBJECT) is error


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": None}}])
def test_an_answer_without_a_code_has_none(response: dict[str, Any]) -> None:
    assert error_code(boto.ClientError(response, "RunTask")) == ""  # type: ignore[arg-type]


def test_within_the_context_botocores_errors_are_ours_and_others_stay() -> None:
    denied = "RunTask was denied for cluster 'features'"
    with pytest.raises(ours.AccessDeniedError, match=denied) as raised, translated(SUBJECT):
        raise answer("AccessDenied")
    assert isinstance(raised.value.__cause__, boto.ClientError)
    with pytest.raises(ours.CredentialsError), translated():
        raise boto.NoCredentialsError
    with pytest.raises(KeyError), translated():
        raise KeyError("x")
