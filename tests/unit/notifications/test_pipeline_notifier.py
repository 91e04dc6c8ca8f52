"""Who is told, and of what: notifiers of Airflow's protocol, functions, deadlines."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, AsyncCallback, BaseNotifier, SyncCallback

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.links.shards_tab import shards_url
from ecs_feature.notifications import pipeline as module
from ecs_feature.notifications.pipeline import PipelineNotifier, about
from ecs_feature.operators.receipt import FeatureReceiptOperator

RECEIPT = {
    "dag_id": "flights", "run_id": "r 1", "logical_date": "2013-02-08", "partition": "2013-02-08", "state": "success",
    "seconds": 12.0, "variants": {},
}  # fmt: skip
URL = "https://airflow.example.com/dags/flights/runs/r%201/plugin/shards-run"


class Told(BaseNotifier):  # type: ignore[misc]
    """Keeps what it was rendered to."""

    template_fields = ("text", "url")
    said: list[tuple[str, str]] = []  # noqa: RUF012

    def __init__(self, text: str = "{{ receipt_text }}", url: str = "{{ shards_url }}") -> None:
        super().__init__()
        self.text, self.url = text, url

    def notify(self, context: Any) -> None:
        self.said.append((self.text, self.url))

    async def async_notify(self, context: Any) -> None:
        self.said.append((f"async {self.text}", self.url))


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    Told.said.clear()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The XComs of the run, by task."""
    xcoms: dict[str, Any] = {"receipt": RECEIPT}
    monkeypatch.setattr(module, "_xcom", lambda dag_id, run_id, task_id: xcoms.get(task_id))
    return xcoms


def context(*receipts: str) -> dict[str, Any]:
    """As the DAG processor gives it to a DAG's callbacks."""
    with DAG("flights", schedule=None) as dag:
        for task_id in receipts or ("receipt",):
            FeatureReceiptOperator(task_id=task_id, variants={})
    return {
        "dag": dag,
        "run_id": "r 1",
        "dag_run": SimpleNamespace(dag_id="flights", run_id="r 1"),
        "reason": "success",
    }


def test_a_notifier_is_told_the_paragraph_and_the_way_to_the_shards(left: dict[str, Any]) -> None:
    PipelineNotifier(Told())(context())
    assert Told.said == [(f"flights 2013-02-08: success in 12 s, $0.0000. Shards: {URL}", URL)]


def test_the_same_notifier_tells_of_each_run(left: dict[str, Any]) -> None:
    notifier = PipelineNotifier(Told("{{ receipt.state }} {{ headline }} {{ run_id }}"))
    for state in ("success", "failed"):
        left["receipt"] = {**RECEIPT, "state": state}
        notifier(context())
    assert [text for text, _ in Told.said] == [
        "success flights 2013-02-08: success in 12 s, $0.0000 r 1",
        "failed flights 2013-02-08: failed in 12 s, $0.0000 r 1",
    ]


def test_a_function_is_given_the_paragraph(left: dict[str, Any]) -> None:
    said: list[str] = []
    PipelineNotifier(said.append)(context())
    assert said == [f"flights 2013-02-08: success in 12 s, $0.0000. Shards: {URL}"]


def test_the_receipts_of_all_pipelines_of_a_dag_are_told(left: dict[str, Any]) -> None:
    left |= {f"{name}.receipt": {**RECEIPT, "task_group": name} for name in ("one", "two")}
    said: list[str] = []
    PipelineNotifier(said.append)(context("one.receipt", "two.receipt"))
    (text,) = said
    assert text.startswith("flights.one 2013-02-08: success")
    assert " flights.two 2013-02-08: success" in text
    assert text.endswith(URL)


@pytest.mark.parametrize("receipt", [None, "text", {**RECEIPT, "run_id": "another"}], ids=str)
def test_a_run_without_a_receipt_is_told_of_all_the_same(left: dict[str, Any], receipt: Any) -> None:
    left["receipt"] = receipt
    said: list[str] = []
    PipelineNotifier(said.append)({**context(), "reason": "task_failure"})
    assert said == [f"flights r 1: it has ended (task_failure) and left no receipt. Shards: {URL}"]


def test_a_receipt_that_cannot_be_read_keeps_nobody_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> Any:
        raise RuntimeError("no answer")

    monkeypatch.setattr(module, "_xcom", fail)
    said: list[str] = []
    PipelineNotifier(said.append)(context())
    assert said == [f"flights r 1: it has ended (success) and left no receipt. Shards: {URL}"]


def test_the_little_that_airflow_knows_of_a_run_whose_last_task_is_gone_is_enough(left: dict[str, Any]) -> None:
    said: list[str] = []
    given = context()
    PipelineNotifier(said.append)({"dag": given["dag"], "run_id": "r 1", "reason": "success"})
    assert said == [f"flights 2013-02-08: success in 12 s, $0.0000. Shards: {URL}"]


def test_an_error_of_the_notifier_is_airflows_to_log(left: dict[str, Any]) -> None:
    def fail(text: str) -> None:
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        PipelineNotifier(fail)(context())


LATE = {
    "dag_run": {"dag_id": "flights", "dag_run_id": "r 1", "state": "running"},
    "deadline": {"id": "x", "deadline_time": "2013-02-09 06:00:00+00:00"},
}


async def test_a_deadline_is_told_of_with_the_way_to_the_shards() -> None:
    path = f"{Told.__module__}.{Told.__qualname__}"
    callback = AsyncCallback(PipelineNotifier, kwargs={"notify": path, "text": "{{ headline }}"})
    assert callback.path == "ecs_feature.notifications.pipeline.PipelineNotifier"
    # As CallbackTrigger calls it.
    await PipelineNotifier(**callback.kwargs, context=LATE)
    assert Told.said == [("async flights r 1: running past its deadline of 2013-02-09 06:00:00+00:00", URL)]


async def test_a_deadline_can_be_told_to_a_function_and_on_a_worker() -> None:
    said: list[str] = []
    await PipelineNotifier(said.append, context=LATE)
    SyncCallback(PipelineNotifier, kwargs={"notify": f"{Told.__module__}.{Told.__qualname__}"})
    PipelineNotifier(said.append)(LATE)
    text = f"flights r 1: running past its deadline of 2013-02-09 06:00:00+00:00. Shards: {URL}"
    assert said == [text, text]


@pytest.mark.parametrize(
    ("notify", "arguments", "sentence"),
    [
        (None, {}, "notify: None can tell nobody; give a notifier, or a callable that takes a text."),
        ("nowhere.Notifier", {}, "notify: 'nowhere.Notifier' cannot be made: No module named 'nowhere'"),
        (Told, {}, "notify: <class .* can tell nobody; give a notifier, or a callable that takes a text."),
        ("collections.Counter", {}, "notify: 'collections.Counter' is no notifier; give the path of a class"),
        ("fractions.Fraction", {"zero": 3}, "notify: 'fractions.Fraction' cannot be made: .* unexpected keyword"),
        (print, {"text": "x"}, "text: only a notifier that is given by its dotted path has arguments here"),
    ],
)
def test_what_can_tell_nobody_is_refused(notify: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{sentence}"):
        PipelineNotifier(notify, **arguments)


def test_it_keeps_the_protocol() -> None:
    notifier = PipelineNotifier(print)
    assert isinstance(notifier, BaseNotifier)
    assert list(inspect.signature(BaseNotifier.notify).parameters) == ["self", "context"]
    assert "context" in inspect.signature(PipelineNotifier).parameters  # else a deadline would not get it


@pytest.mark.parametrize(
    ("base", "dag_id", "run_id", "url"),
    [
        (None, "flights", "r 1", URL),
        ("https://a.b/airflow/", "d", "manual__2013-01-01T00:00:00+00:00",
         "https://a.b/airflow/dags/d/runs/manual__2013-01-01T00%3A00%3A00%2B00%3A00/plugin/shards-run"),
        ("", "d", "../../etc", "/dags/d/runs/..%2F..%2Fetc/plugin/shards-run"),
        ("", "d", "<img src=x>é", "/dags/d/runs/%3Cimg%20src%3Dx%3E%C3%A9/plugin/shards-run"),
    ],
)  # fmt: skip
def test_the_way_to_the_shards(base: str | None, dag_id: str, run_id: str, url: str) -> None:
    assert shards_url(dag_id, run_id, base) == url


def test_without_an_address_of_the_api_server_the_way_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    assert about(LATE, [])["shards_url"] == "/dags/flights/runs/r%201/plugin/shards-run"
