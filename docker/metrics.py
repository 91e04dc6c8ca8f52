"""What Prometheus asks of this stack: shards, services held by leases, queues, quota left, and Airflow's own metrics.

Reads Airflow's tables, ECS, Service Quotas and Redis, at most once in `FRESH_SECONDS`, and changes nothing. A source
that does not answer leaves its metrics out and counts in `ecs_feature_source_up`. Airflow's processes send theirs here
(OpenTelemetry over HTTP, in deltas): a collector as small as this stack.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import redis
import sqlalchemy
from botocore.config import Config
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from ecs_feature.services.leases import leases_of

log = logging.getLogger("metrics")

PORT = 9105
FRESH_SECONDS = 10.0
KEYS = Path("/var/lib/stack/keys")
KOMBU_BINDING = "_kombu.binding."
"""Beginning of the Redis keys that name Celery's queues."""
FARGATE_VCPUS = {"FARGATE": "L-3032A538", "FARGATE_SPOT": "L-36FBB829"}
"""Service Quotas' codes (general/latest/gr/ecs-service)."""
SHARDS = """
SELECT ti.dag_id, coalesce(ti.state, 'none') AS state, count(*) AS shards, coalesce(sum(ti.try_number), 0) AS tries
FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id
WHERE ti.operator IN ('EcsShardOperator', 'WorkerShardOperator')
AND (dr.end_date IS NULL OR dr.end_date > now() - interval '1 day')
GROUP BY 1, 2
"""
HELP = {
    "ecs_feature_shards": "Shards of the runs that run or ended within a day, by DAG and state.",
    "ecs_feature_shard_tries": "Tries of those shards.",
    "ecs_feature_service_desired": "Desired count of an ECS service.",
    "ecs_feature_service_running": "Running tasks of an ECS service.",
    "ecs_feature_service_leases": "Live leases of an ECS service: who holds it above its baseline.",
    "ecs_feature_ecs_tasks": "ECS tasks of the cluster that should run, by capacity.",
    "ecs_feature_vcpus_left": "What is left of the account's vCPU quota.",
    "ecs_feature_queue_depth": "Airflow tasks that wait in a Celery queue.",
    "ecs_feature_source_up": "Whether a source of these metrics answered.",
}


@dataclass(frozen=True)
class Sample:
    """One number of one metric."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        labels = ",".join(f"{name}={json.dumps(value)}" for name, value in self.labels.items())
        return f"{self.name}{{{labels}}} {self.value:g}" if labels else f"{self.name} {self.value:g}"


def page(samples: Iterable[Sample]) -> str:
    """In Prometheus's text format."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for name, group in by_name.items():
        said = [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge"] if name in HELP else [f"# TYPE {name} untyped"]
        lines += [*said, *map(str, group)]
    return "\n".join([*lines, ""])


def collect(sources: Mapping[str, Callable[[], list[Sample]]]) -> list[Sample]:
    """What all sources say."""
    samples = []
    for name, source in sources.items():
        try:
            samples += source()
            up = 1.0
        except Exception:  # each has errors of its own, and none of them may hide the others' numbers
            log.warning("%s does not answer", name, exc_info=True)
            up = 0.0
        samples.append(Sample("ecs_feature_source_up", up, {"source": name}))
    return samples


def shards(engine: sqlalchemy.Engine) -> list[Sample]:
    """From Airflow's tables."""
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text(SHARDS)).all()
    tries: dict[str, float] = {}
    for row in rows:
        tries[row.dag_id] = tries.get(row.dag_id, 0.0) + float(row.tries)
    states = [Sample("ecs_feature_shards", row.shards, {"dag_id": row.dag_id, "state": row.state}) for row in rows]
    return [*states, *(Sample("ecs_feature_shard_tries", count, {"dag_id": dag_id}) for dag_id, count in tries.items())]


def services(ecs: Any, cluster: str) -> list[Sample]:
    """From ECS: counts and leases of the cluster's services."""
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    arns = [arn for page in pages for arn in page["serviceArns"]]
    samples = []
    for start in range(0, len(arns), 10):
        described = ecs.describe_services(cluster=cluster, services=arns[start : start + 10], include=["TAGS"])
        for service in described["services"]:
            tags = [(tag["key"], tag["value"]) for tag in service.get("tags", [])]
            labels = {"service": service["serviceName"]}
            samples += [
                Sample("ecs_feature_service_desired", service["desiredCount"], labels),
                Sample("ecs_feature_service_running", service["runningCount"], labels),
                Sample("ecs_feature_service_leases", len(leases_of(tags)), labels),
            ]
    return samples


def tasks(ecs: Any, quotas: Any, cluster: str) -> list[Sample]:
    """From ECS and Service Quotas: running tasks, and vCPUs that are left for more."""
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster)
    arns = [arn for page in pages for arn in page["taskArns"]]
    counts, used = dict.fromkeys(FARGATE_VCPUS, 0), dict.fromkeys(FARGATE_VCPUS, 0.0)
    for start in range(0, len(arns), 100):
        for task in ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + 100])["tasks"]:
            capacity = task.get("capacityProviderName") or task.get("launchType", "")
            counts[capacity] = counts.get(capacity, 0) + 1
            used[capacity] = used.get(capacity, 0.0) + int(task["cpu"]) / 1024
    samples = [Sample("ecs_feature_ecs_tasks", count, {"capacity": capacity}) for capacity, count in counts.items()]
    for capacity, code in FARGATE_VCPUS.items():
        quota = quotas.get_service_quota(ServiceCode="fargate", QuotaCode=code)["Quota"]["Value"]
        samples.append(Sample("ecs_feature_vcpus_left", quota - used[capacity], {"capacity": capacity}))
    return samples


def queues(broker: redis.Redis) -> list[Sample]:
    """From Redis: how many messages wait in each queue of Airflow's."""
    names = sorted(key.decode().removeprefix(KOMBU_BINDING) for key in broker.scan_iter(f"{KOMBU_BINDING}*"))
    own = [name for name in names if "celery" not in name.split(".")[0] and "pidbox" not in name and name]
    return [Sample("ecs_feature_queue_depth", broker.llen(name), {"queue": name}) for name in own]


class Sent:
    """What Airflow's processes have sent, added up over all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def take(self, body: bytes) -> None:
        """Take an export's body.

        :raises google.protobuf.message.DecodeError: it is none.
        """
        request = ExportMetricsServiceRequest.FromString(body)
        metrics = [m for each in request.resource_metrics for scope in each.scope_metrics for m in scope.metrics]
        with self._lock:
            for metric in metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                delta = getattr(data, "aggregation_temporality", None) == AGGREGATION_TEMPORALITY_DELTA
                name = re.sub(r"[^a-zA-Z0-9_]", "_", metric.name)
                for point in data.data_points:
                    labels = tuple(sorted((each.key, _text(each.value)) for each in point.attributes))
                    if kind == "histogram":
                        self._add(f"{name}_sum", labels, point.sum, delta)
                        self._add(f"{name}_count", labels, point.count, delta)
                    elif kind in ("sum", "gauge"):
                        value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
                        self._add(name, labels, value, delta)

    def _add(self, name: str, labels: tuple[tuple[str, str], ...], value: float, delta: bool) -> None:
        before = self._values.get((name, labels), 0.0) if delta else 0.0
        self._values[name, labels] = before + value

    def samples(self) -> list[Sample]:
        """All of it."""
        with self._lock:
            kept = sorted(self._values.items())
        return [
            Sample(name, value, {re.sub(r"[^a-zA-Z0-9_]", "_", k): v for k, v in labels})
            for (name, labels), value in kept
        ]


def _text(value: Any) -> str:
    return str(getattr(value, value.WhichOneof("value") or "string_value"))


class Page:
    """The page, made anew when it is older than `FRESH_SECONDS`."""

    def __init__(self, sources: Mapping[str, Callable[[], list[Sample]]]) -> None:
        self._sources = sources
        self.sent = Sent()
        self._lock = threading.Lock()
        self._text, self._made = "", -FRESH_SECONDS

    def text(self) -> str:
        """What Prometheus gets."""
        with self._lock:
            if time.monotonic() - self._made >= FRESH_SECONDS:
                self._text, self._made = page([*collect(self._sources), *self.sent.samples()]), time.monotonic()
            return self._text


def serve(shown: Page, port: int = PORT) -> ThreadingHTTPServer:
    """A server of /metrics and /health; the caller lets it run."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/metrics": ("text/plain; version=0.0.4", shown.text), "/health": ("application/json", _healthy)}
            kind, text = known.get(self.path, ("text/plain", None))
            self.send_response(404 if text is None else 200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(b"" if text is None else text().encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                shown.sent.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
            except (DecodeError, OSError):
                self.send_response(400)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    return ThreadingHTTPServer(("", port), Handler)


def _healthy() -> str:
    return json.dumps({"status": "healthy"})


def main() -> None:
    """Serve for ever."""
    logging.basicConfig(level=logging.INFO)
    session, config = boto3.Session(), Config(proxies={}, retries={"mode": "standard"})
    ecs, quotas = (session.client(name, config=config) for name in ("ecs", "service-quotas"))
    engine = sqlalchemy.create_engine((KEYS / "database_url").read_text(), pool_pre_ping=True, pool_size=1)
    broker = redis.Redis.from_url((KEYS / "broker_url").read_text(), socket_timeout=5)
    values = Path(os.environ["AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE"])

    def cluster() -> str:
        return str(json.loads(values.read_text())["CLUSTER"])

    sources: dict[str, Callable[[], list[Sample]]] = {
        "airflow": lambda: shards(engine),
        "services": lambda: services(ecs, cluster()),
        "tasks": lambda: tasks(ecs, quotas, cluster()),
        "redis": lambda: queues(broker),
    }
    serve(Page(sources)).serve_forever()


if __name__ == "__main__":
    main()
