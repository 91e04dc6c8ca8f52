"""Makes another version of a partition the current one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.errors import translated
from ecs_feature.aws.operator import AwsOperator
from ecs_feature.environment import filled
from ecs_feature.exceptions import EcsFeatureError, PublishError
from ecs_feature.operators.patience import patiently
from ecs_feature.results.manifests import ManifestStore, version_of


class FeatureRollBackOperator(AwsOperator):
    """Moves the pointer of a manifest to another version with a conditional put; nothing is deleted or computed.

    As a task it is on record: who started the run and with what, its log, and what was current before. It knows no
    pipeline, so that one DAG serves all of them, in DAGs of the users' own as well, and all their partitions; see
    ``dags/ecs_feature_rollback.py``::

        from airflow.sdk import DAG, Param
        from ecs_feature.operators.roll_back import FeatureRollBackOperator

        with DAG("way_back", params={"manifest_uri": Param(type="string"), "instead_of": Param(None),
                                   "of_dag": Param(None)}):
            FeatureRollBackOperator(
                task_id="make_current",
                manifest_uri="{{ params.manifest_uri }}",
                instead_of="{{ params.instead_of or '' }}",
                of_dag="{{ params.of_dag or '' }}",
            )

    XCom: ``{"manifest_uri", "version", "before", "at", "dag_id", "partition", "variant", "published_by"}``, from which
    :mod:`ecs_feature.results.versions` knows what is current; the last four are
    what the manifest says of the run that published it. Readers follow the pointer when they read the next time; no
    asset event is emitted.

    :param manifest_uri: of the version, ``s3://.../manifest/v=0003.json``, as receipts and asset events have it.
    :param instead_of: the version that is current as far as the user knows; when it is another one by now, the task
        fails at once and changes nothing. Empty: whichever it is.
    :param of_dag: the DAG whose version it is as far as the user knows; where the manifest says that another one
        published it, the task fails at once and changes nothing. Empty: any. It keeps a wrong URI from moving
        another pipeline's pointer; it is no right: who may start the task can give any DAG.
    """

    template_fields: Sequence[str] = ("manifest_uri", "instead_of", "of_dag")
    ui_color = "#e1d5e7"

    def __init__(self, *, manifest_uri: str, instead_of: str | int = "", of_dag: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manifest_uri = filled(manifest_uri, where="manifest_uri")
        self.instead_of = instead_of
        self.of_dag = of_dag

    def execute(self, context: Any) -> dict[str, Any]:
        try:
            prefix, number = version_of(self.manifest_uri)
            expected = _number(self.instead_of)
            before, content = patiently(lambda: self._move(prefix, number, expected), self.log)
        except PublishError as error:
            # Also when another publish came first: whoever asked has not seen it.
            raise AirflowFailException(str(error)) from error
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        if before == number:
            self.log.info("%s is at version %d already.", prefix, number)
        else:
            self.log.info("%s is at version %d now; it was at %d.", prefix, number, before)
        about = {name: content.get(name) for name in ("dag_id", "partition", "variant")}
        return {
            "manifest_uri": self.manifest_uri,
            "version": number,
            "before": before,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **about,
            "published_by": content.get("run_id"),
        }

    def _move(self, prefix: str, number: int, instead_of: int | None) -> tuple[int, dict[str, Any]]:
        """The version that was current, and the content of the one that is now."""
        with translated(prefix):
            store = ManifestStore(self.aws.client("s3"), prefix)
            if self.of_dag:
                self._check_dag(store.version(number))
            current = store.current()
            if current is not None and current["version"] == number:  # a try whose answer was lost
                return number, current
            content = store.roll_back(number, instead_of).manifest
        assert current is not None  # else there would be nothing to go back to
        return current["version"], content

    def _check_dag(self, content: Mapping[str, Any]) -> None:
        """:raises PublishError: when another DAG has published this version."""
        if content.get("dag_id") != self.of_dag:
            raise PublishError(
                f"manifest_uri: {self.manifest_uri} was published by DAG {content.get('dag_id')!r:.250}, not by "
                f"{self.of_dag!r:.250}; give a version of that DAG, or leave of_dag out."
            )


def _number(text: str | int) -> int | None:
    """:raises PublishError: when it is no version's number."""
    cleaned = str(text).strip()
    if not cleaned:
        return None
    if not cleaned.isdecimal():
        raise PublishError(f"instead_of: {text!r:.80} is no version; give the number of the current one, or nothing.")
    return int(cleaned)
