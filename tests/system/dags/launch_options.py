"""Airflow DAGs of the system tests: what a launch can carry, on Fargate and on Managed Instances."""

from pathlib import Path

import pendulum

from ecs_feature.environment import load_environment
from ecs_feature.pipeline import EbsVolume, FeaturePipeline, Variant

# The job contract in a few lines; with SCRATCH, the output is written there first.
JOB = """
import hashlib, json, os, pathlib, time, boto3
env, s3 = os.environ, boto3.client("s3")
content = env["SHARD"].encode()
if scratch := env.get("SCRATCH"):
    pathlib.Path(scratch, "part").write_bytes(content)
    content = pathlib.Path(scratch, "part").read_bytes()
time.sleep(3)
def put(uri, body):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=key, Body=body)
put(env["OUTPUT_URI"], content)
file = {"uri": env["OUTPUT_URI"], "bytes": len(content), "rows": 1, "sha256": hashlib.sha256(content).hexdigest()}
put(env["RESULT_URI"], json.dumps({"shard": env["SHARD"], "rows": 1, "files": [file]}).encode())
"""

values = load_environment()
common = {
    "schedule": None,
    "start_date": pendulum.datetime(2013, 1, 1),
    "cluster": "${CLUSTER}",
    "container": "job",
    "input_uri": "s3://${BUCKET}/raw/",
    "taskdefs": Path(__file__).parents[1] / "taskdefs",
    "retries": 0,
    "placeholders": {**values, "JOB": JOB},
}

on_fargate = FeaturePipeline(
    dag_id="launch_options",
    shards=("OO", "UA"),
    variants=[Variant("arm", "launch-options")],
    output_uri="s3://${BUCKET}/features/launch_options",
    volumes=[EbsVolume("scratch", "arn:aws:iam::${ACCOUNT_ID}:role/ecsInfrastructureRole", 200, throughput_mib=225)],
    **common,
).dag()

on_managed = FeaturePipeline(
    dag_id="launch_managed",
    shards=("OO",),
    variants=[Variant("control", "launch-managed")],
    output_uri="s3://${BUCKET}/features/launch_managed",
    capacity=[{"capacityProvider": "managed", "weight": 1}],
    **common,
).dag()
