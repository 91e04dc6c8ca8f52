"""Registers a task definition when its file has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.errors import translated
from ecs_feature.aws.operator import AwsOperator
from ecs_feature.environment import filled, load_environment
from ecs_feature.exceptions import ConfigurationError, EcsFeatureError
from ecs_feature.operators.patience import patiently
from ecs_feature.results.provenance import CODE_VERSION, code_version
from ecs_feature.tasks import definitions
from ecs_feature.tasks.volumes import EbsVolume, check_configured


class EcsTaskDefinitionOperator(AwsOperator):
    """Registers the task definition in a JSON file, only when its content differs from the latest revision.

    The file is what ``RegisterTaskDefinition`` takes, or what ``describe-task-definition`` prints, with ``${NAME}``
    placeholders for the environment file's values. It is validated against botocore's model and Fargate's rules before
    any call.

    XCom: the ARN, with its revision; and under ``code_version`` what the file's tag of that name says (or ``git-sha``,
    ``git-commit``, ``version``)::

        from airflow.sdk import DAG
        from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator

        with DAG("registered"):
            EcsTaskDefinitionOperator(task_id="register", path="include/taskdefs/rt.json", container="rt")

    :param path: the JSON file.
    :param container: the name of the pipeline's, which must be in it and end the task; empty: not checked.
    :param variables: names of the environment variables that the launches set in that container.
    :param volumes: those that the launches configure; the file must have the same with ``configuredAtLaunch``.
    :param environment: the placeholders' values; default: the environment file's, as it is when the task runs.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#d5e8d4"

    def __init__(
        self,
        *,
        path: str | Path,
        container: str = "",
        variables: Sequence[str] = (),
        volumes: Sequence[EbsVolume] = (),
        environment: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = filled(str(path), where="path")
        self.container = container
        self.variables = list(variables)
        self.volumes = list(volumes)
        self.environment = environment

    def execute(self, context: Any) -> str:
        try:
            path = Path(self.path)
            loaded = definitions.load_with_notes(
                path, load_environment() if self.environment is None else self.environment
            )
            definition = loaded.content
            if self.container:
                definitions.check_container(definition, self.container, where=path.name)
                definitions.check_variables(definition, self.container, self.variables, where=path.name)
                check_configured(definition, self.volumes, where=path.name)
            registered = patiently(lambda: self._register(definition), self.log)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        except EcsFeatureError as error:
            raise (AirflowFailException if _is_refused(error) else AirflowException)(str(error)) from error
        for note in loaded.notes:
            self.log.info(note)
        if sentence := definitions.hidden_retries(definition, self.container):
            self.log.warning(sentence)
        if sentence := definitions.lossy_logs(definition):
            self.log.info(sentence)
        self.log.info("%s %s.", "Registered" if registered.created else "Unchanged:", registered.arn)
        if version := code_version(definition):
            context["ti"].xcom_push(key=CODE_VERSION, value=version)
        return registered.arn

    def _register(self, definition: dict[str, Any]) -> definitions.Registered:
        with translated(f"Task definition {definition['family']!r}"):
            return definitions.register(self.aws.client("ecs"), definition)


def _is_refused(error: EcsFeatureError) -> bool:
    """Whether AWS takes no such task definition, however often it is asked."""
    from botocore.exceptions import ClientError

    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return False
    said = cause.response.get("Error", {})
    # "Too many concurrent attempts to create a new revision of the specified family." is a ClientException, too.
    passes = "concurrent" in str(said.get("Message")).lower()
    return said.get("Code") in ("ClientException", "InvalidParameterException") and not passes
