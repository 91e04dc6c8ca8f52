"""The page that Prometheus asks for."""

from __future__ import annotations

import urllib.request
from threading import Thread

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from fargate_local import LocalFargate, Settings

from .conftest import ROOT, load_script

metrics = load_script("metrics")


def export(**values: float) -> bytes:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for name, value in values.items():
        metric = scope.metrics.add(name=name)
        if name.endswith("now"):
            metric.gauge.data_points.add(as_double=value)
        else:
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
            metric.sum.data_points.add(as_double=value).attributes.add(key="dag.id").value.string_value = "rt_live"
    return bytes(request.SerializeToString())


def test_what_processes_send_in_deltas_is_added_up_and_a_gauge_is_its_last() -> None:
    sent = metrics.Sent()
    for body in (export(started=2, open_now=5), export(started=3, open_now=1)):
        sent.take(body)
    assert [str(sample) for sample in sent.samples()] == ["open_now 1", 'started{dag_id="rt_live"} 5']


def test_a_source_that_fails_hides_no_other() -> None:
    def broken() -> list[object]:
        raise OSError("gone")

    samples = metrics.collect(
        {"bad": broken, "good": lambda: [metrics.Sample("ecs_feature_queue_depth", 3, {"queue": "a"})]}
    )
    assert [str(sample) for sample in samples] == [
        'ecs_feature_source_up{source="bad"} 0',
        'ecs_feature_queue_depth{queue="a"} 3',
        'ecs_feature_source_up{source="good"} 1',
    ]


def test_services_and_quota_are_read_from_aws() -> None:
    with LocalFargate(Settings(images=ROOT / "include" / "images", pace=0, fargate_vcpus=10)) as aws:
        ecs = aws.client("ecs")
        ecs.create_cluster(clusterName="features")
        assert metrics.services(ecs, "features") == []
        shown = [str(sample) for sample in metrics.tasks(ecs, aws.client("service-quotas"), "features")]
        assert 'ecs_feature_vcpus_left{capacity="FARGATE"} 10' in shown


def test_the_page_is_served_and_takes_exports() -> None:
    shown = metrics.Page({})
    with metrics.serve(shown, 0) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{url}/v1/metrics", export(started=2), timeout=5) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            assert answer.read().decode() == '# TYPE started untyped\nstarted{dag_id="rt_live"} 2\n'
        server.shutdown()
        thread.join()
