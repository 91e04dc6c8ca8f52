"""Airflow DAG of the tests of names: shards that are called as nobody would dare."""

import json
from pathlib import Path

import pendulum

from ecs_feature.pipeline import FeaturePipeline

NAMES = json.loads((Path(__file__).parents[1] / "hostile_names.json").read_text(encoding="utf-8"))
JOB = """
import hashlib, json, os, sys, boto3
name = sys.argv[1]
assert name == os.environ["SHARD"], (name, os.environ["SHARD"])
if name == "New York" and os.environ["ATTEMPT"] == "1" and os.environ["LOGICAL_DATE"] == "2013-06-01":
    sys.exit(9)
s3, body = boto3.client("s3"), name.encode()
file = {"uri": os.environ["OUTPUT_URI"], "bytes": len(body), "rows": 1, "sha256": hashlib.sha256(body).hexdigest()}
for uri, content in (
    (os.environ["OUTPUT_URI"], body),
    (os.environ["RESULT_URI"], json.dumps({"shard": name, "rows": 1, "files": [file]}).encode()),
):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=key, Body=content)
print("done", name)
"""

dag = FeaturePipeline(
    dag_id="hostile_names",
    start_date=pendulum.datetime(2013, 1, 1),
    shards=NAMES,
    task_definition="flight-features-control",
    container="features",
    command=["python", "-c", JOB, "{shard}"],
    output_uri="s3://${BUCKET}/hostile",
    output_suffix=".txt",
    retries=1,
    retry_delay=pendulum.duration(seconds=1),
).dag()
