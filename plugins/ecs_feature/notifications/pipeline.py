"""Tells people how a run went: its receipt in one paragraph, and the way to its shards."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from airflow.sdk import BaseNotifier

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.links.shards_tab import shards_url
from ecs_feature.results.summaries import headline, paragraph

RECEIPT_TASK: Final = "FeatureReceiptOperator"
"""The type of the task whose XCom is the receipt."""


class PipelineNotifier(BaseNotifier):  # type: ignore[misc]
    """Gives any notifier of Airflow's providers the run's receipt, or calls a function with it::

        from airflow.providers.smtp.notifications.smtp import SmtpNotifier
        from ecs_feature.pipeline import FeaturePipeline, PipelineNotifier

        dag = FeaturePipeline(
            dag_id="tenant_features",
            shards=("acme", "globex"),
            task_definition="tenant-features",
            output_uri="s3://${BUCKET}/features/tenants",
            on_success=PipelineNotifier(print),
            on_failure=PipelineNotifier(
                SmtpNotifier(to="team@example.com", subject="{{ headline }}", html_content="{{ receipt_text | e }}")
            ),
        ).dag()

    In the wrapped notifier's templates ``receipt_text`` is the paragraph with the link, ``headline`` its first line,
    ``shards_url`` the link, and ``receipt`` the receipt itself (docs/receipt.md), empty where the run left none. It may
    also be a DAG's ``on_success_callback`` or ``on_failure_callback``, in a DAG with task groups too.
    For Airflow's deadline alerts, which take a class by its name::

        from airflow.sdk import AsyncCallback
        from ecs_feature.pipeline import PipelineNotifier

        late = {"notify": "airflow.providers.smtp.notifications.smtp.SmtpNotifier", "to": "team@example.com"}
        late |= {"subject": "{{ headline }}", "html_content": "{{ receipt_text | e }}"}
        AsyncCallback(PipelineNotifier, kwargs=late)

    :param notify: a notifier; a callable that is given the paragraph; or a notifier's dotted path.
    :param context: of a deadline alert, which Airflow gives.
    :param arguments: of the notifier that is given by its path.
    :raises ConfigurationError: for anything else, and for arguments without a path.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self, notify: BaseNotifier | Callable[[str], object] | str, *, context: Any = None, **arguments: Any
    ) -> None:
        super().__init__(context=context)
        self.inner = _inner(notify, arguments)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Nothing: the wrapped notifier renders its own, when it is called."""

    def notify(self, context: Any) -> None:
        receipts = self._receipts(context)
        known = {**context, **about(context, receipts)}
        if isinstance(self.inner, BaseNotifier):
            _rendering(self.inner, context)(known)
        else:
            self.inner(known["receipt_text"])

    async def async_notify(self, context: Any) -> None:
        """For a deadline: the run may go on, and its receipt is not looked for."""
        known = {**context, **about(context, [])}
        if not isinstance(self.inner, BaseNotifier):
            self.inner(known["receipt_text"])
            return
        inner = _rendering(self.inner, context)
        inner.context = known
        await inner

    def _receipts(self, context: Any) -> list[dict[str, Any]]:
        """The receipts of the run's pipelines; none when they cannot be read: it is told without them."""
        try:
            return list(_receipts(context))
        except Exception as error:
            self.log.warning("The receipt cannot be read: %r", error)
            return []


def about(context: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the templates know beside Airflow's own names.

    :param receipts: of the run, one for each pipeline in its DAG.
    """
    dag_id, run_id = run_of(context)
    url = shards_url(dag_id, run_id)
    if receipts:
        first, text = headline(receipts[0]), " ".join(paragraph(receipt) for receipt in receipts)
    else:
        first = f"{dag_id} {run_id}: {_without_receipt(context)}"
        text = f"{first}."
    return {
        "receipt": dict(receipts[0]) if receipts else {},
        "receipt_text": f"{text} Shards: {url}",
        "headline": first,
        "shards_url": url,
    }


def run_of(context: Mapping[str, Any]) -> tuple[str, str]:
    """The ids of the DAG and the run, in the contexts that Airflow gives to callbacks and to deadlines."""
    run = context.get("dag_run")
    dag_id = _of(run, "dag_id") or _of(context.get("dag"), "dag_id")
    return str(dag_id), str(_of(run, "run_id") or context.get("run_id") or _of(run, "dag_run_id"))


def _without_receipt(context: Mapping[str, Any]) -> str:
    state = _of(context.get("dag_run"), "state")
    if deadline := context.get("deadline"):
        return f"{state or 'running'} past its deadline of {_of(deadline, 'deadline_time')}"
    reason = context.get("reason")
    return f"it has ended ({reason}) and left no receipt" if reason else "it has left no receipt"


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _receipts(context: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The receipts of the run's pipelines."""
    dag_id, run_id = run_of(context)
    for task in getattr(context.get("dag"), "tasks", ()):
        if task.task_type == RECEIPT_TASK:
            receipt = _xcom(dag_id, run_id, task.task_id)
            if isinstance(receipt, dict) and receipt.get("run_id") == run_id:
                yield receipt


def _xcom(dag_id: str, run_id: str, task_id: str) -> Any:
    """What a task has returned. Callbacks run in the DAG processor, which may ask for it."""
    from airflow.providers.common.compat.sdk import XCom

    try:
        return XCom.get_one(key="return_value", dag_id=dag_id, task_id=task_id, run_id=run_id)
    except ImportError:  # dag.test(): there is no supervisor to ask, and the database is at hand
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        query = XComModel.get_many(key="return_value", dag_ids=dag_id, run_id=run_id, task_ids=task_id)
        with create_session(scoped=False) as session:
            found = session.scalars(query.with_only_columns(XComModel.value)).first()
        return json.loads(found) if isinstance(found, str) else found


def _rendering(notifier: BaseNotifier, context: Mapping[str, Any]) -> BaseNotifier:
    """A copy of the notifier, because rendering replaces its templates.

    ``dag.test()`` of Airflow 3.3 gives callbacks the serialized DAG, which cannot make a template environment.
    """
    copied = copy.copy(notifier)
    if not hasattr(context.get("dag"), "get_template_env"):
        copied.get_template_env = lambda dag=None: notifier.get_template_env(None)
    return copied


def _inner(notify: Any, arguments: Mapping[str, Any]) -> BaseNotifier | Callable[[str], object]:
    """:raises ConfigurationError: when it can tell nobody."""
    if isinstance(notify, str):
        from airflow.sdk.module_loading import import_string

        try:
            made = import_string(notify)(**arguments)
        except (ImportError, TypeError) as error:
            raise ConfigurationError(f"notify: {notify!r} cannot be made: {error}") from error
        if isinstance(made, BaseNotifier):
            return made
        raise ConfigurationError(f"notify: {notify!r} is no notifier; give the path of a class of BaseNotifier.")
    if arguments:
        raise ConfigurationError(
            f"{next(iter(arguments))}: only a notifier that is given by its dotted path has arguments here; give it to "
            "the notifier itself."
        )
    if isinstance(notify, BaseNotifier) or (callable(notify) and not isinstance(notify, type)):
        return notify
    raise ConfigurationError(
        f"notify: {notify!r:.80} can tell nobody; give a notifier, or a callable that takes a text."
    )
