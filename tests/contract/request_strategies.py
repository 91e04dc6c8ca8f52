"""Hypothesis strategies for requests to ECS, made from botocore's model: valid ones, nearly valid ones and nonsense."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from hypothesis import strategies as st

from fargate_local.api.dispatch import OPERATIONS as HANDLED

from .conftest import CLUSTER, EXECUTION_ROLE, NETWORK
from .definition_examples import EXAMPLES, fargate

MODEL: Final = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")
ACCOUNT: Final = "arn:aws:ecs:us-east-1:123456789012"

TASK: Final = "<the last task>"
INSTANCE: Final = "<the last instance>"
TAGGED: Final = (TASK, INSTANCE, f"{ACCOUNT}:cluster/{CLUSTER}", f"{ACCOUNT}:service/{CLUSTER}/web")
NAMES: Final = (
    TASK, INSTANCE,
    CLUSTER, "other", "job", "host", "main", "side", "FARGATE", "FARGATE_SPOT", "batch", "none", "default", "", "a b",
    "é", "a" * 256, "job:1", "host:1", "job:0", f"{ACCOUNT}:cluster/{CLUSTER}", f"{ACCOUNT}:task-definition/job:1",
    f"{ACCOUNT}:service/{CLUSTER}/web", f"{ACCOUNT}:service/web", "arn:aws:ecs:eu-west-1:1:cluster/features", "arn:",
    "/", "\u0000", "\ud800", "web", "s3://bucket/key", "arn:aws:s3:::bucket/a.env", EXECUTION_ROLE, "-1", "5", "256",
    "1 vCPU", "2 GB", "1.4.0", "LATEST", "service:web", "aws:a", "80-90", "..", "/../../tmp", "nan", "{}",
)  # fmt: skip
NUMBERS: Final = (
    0, 1, 2, 3, 5, 10, 11, 30, 64, 80, 100, 101, 120, 128, 200, 512, 1024, 65535, 65536, -1, 2**31 - 1, 2**31, 2**63,
)  # fmt: skip
NONSENSE: Final = (None, "", "text", 0, -1, 1.5, True, [], {}, [None], [[]], {"a": "b"}, [""], 10**30)
SIZES: Final = (0, 1, 1, 1, 2, 3, 12)
SEEDS_THAT_LACK: Final = 40
MUTATIONS: Final = (0, 1, 1, 2, 3)
OPERATIONS: Final = (*sorted(HANDLED), *["RunTask"] * 4, *["CreateService"] * 2, *["RegisterTaskDefinition"] * 4)

# What the server has when a request comes: those that are most likely to get somewhere begin from here.
FARGATE_RUN: Final = {"cluster": CLUSTER, "taskDefinition": "job", "networkConfiguration": NETWORK}
IN_CLUSTER: Final = {"cluster": CLUSTER}
ROOM: Final = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 8192},
]
OVERRIDES: Final = {"containerOverrides": [{"name": "main", "environment": [{"name": "A", "value": "b"}]}]}
SEEDS: Final[dict[str, list[dict[str, Any]]]] = {
    "RegisterTaskDefinition": [accepted for accepted, _ in EXAMPLES.values()],
    "DescribeTaskDefinition": [{"taskDefinition": "job"}, {"taskDefinition": "host:1"}],
    "DeregisterTaskDefinition": [{"taskDefinition": "job:1"}, {"taskDefinition": "host:2"}],
    "RunTask": [
        FARGATE_RUN | {"launchType": "FARGATE", "overrides": OVERRIDES},
        FARGATE_RUN | {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}], "count": 2},
        {"cluster": CLUSTER, "taskDefinition": "host", "launchType": "EC2"},
    ],
    "StopTask": [IN_CLUSTER | {"task": TASK}],
    "DescribeTasks": [IN_CLUSTER | {"tasks": [TASK]}],
    "ListTasks": [IN_CLUSTER, IN_CLUSTER | {"desiredStatus": "STOPPED"}],
    "CreateService": [
        FARGATE_RUN | {"serviceName": name, "launchType": "FARGATE", "desiredCount": 1} for name in ("web", "api")
    ] + [{"cluster": CLUSTER, "serviceName": "own", "taskDefinition": "host", "launchType": "EC2", "desiredCount": 2}],
    "UpdateService": [IN_CLUSTER | {"service": name, "desiredCount": 1} for name in ("web", "api", "own")],
    "DeleteService": [IN_CLUSTER | {"service": name, "force": True} for name in ("web", "own")],
    "DescribeServices": [IN_CLUSTER | {"services": ["web", "own"]}],
    "ListServices": [IN_CLUSTER],
    "CreateCluster": [{"clusterName": "other", "capacityProviders": ["FARGATE"]}],
    "DeleteCluster": [{"cluster": "other"}],
    "PutClusterCapacityProviders": [
        IN_CLUSTER | {"capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": []}
    ],
    "CreateCapacityProvider": [{"name": "batch", "autoScalingGroupProvider": {"autoScalingGroupArn": "a"}}],
    "DeleteCapacityProvider": [{"capacityProvider": "batch"}],
    "RegisterContainerInstance": [IN_CLUSTER | {"totalResources": ROOM}],
    "DescribeContainerInstances": [IN_CLUSTER | {"containerInstances": [INSTANCE]}],
    "DeregisterContainerInstance": [IN_CLUSTER | {"containerInstance": INSTANCE, "force": True}],
    "ListContainerInstances": [IN_CLUSTER],
    "UpdateTaskProtection": [IN_CLUSTER | {"tasks": [TASK], "protectionEnabled": True, "expiresInMinutes": 5}],
    "GetTaskProtection": [IN_CLUSTER | {"tasks": [TASK]}],
    "TagResource": [{"resourceArn": arn, "tags": [{"key": "a", "value": "b"}]} for arn in TAGGED],
    "UntagResource": [{"resourceArn": arn, "tagKeys": ["a"]} for arn in TAGGED],
    "ListTagsForResource": [{"resourceArn": arn} for arn in TAGGED],
}  # fmt: skip
BASE_DEFINITIONS: Final = (
    fargate({"environment": [{"name": "SIMULATED_SECONDS", "value": "0.01"}]}),
    {"family": "host", "containerDefinitions": [{"name": "main", "image": "job:1", "memory": 64}]},
)


@st.composite
def requests(draw: st.DrawFn, operation: str) -> Any:
    """A request of an operation: a seed with up to three members replaced, or one from nothing."""
    shape = MODEL.operation_model(operation).input_shape
    seeds = SEEDS.get(operation, [])
    if not seeds or draw(st.integers(0, 5)) == 0:
        return draw(values_of(shape))
    request = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.sampled_from(MUTATIONS))):
        _mutate(draw, request, shape)
    return request


def _mutate(draw: st.DrawFn, request: Any, shape: Shape) -> None:
    """Replace, add or leave out one member of one of a request's structures."""
    structures = list(_structures(request, shape))
    node, of = structures[draw(st.integers(0, len(structures) - 1))]
    given = sorted(set(node) & set(of.members))
    name = draw(st.sampled_from(given if given and draw(st.booleans()) else sorted(of.members)))
    if name in node and draw(st.booleans()):
        del node[name]
    else:
        node[name] = draw(values_of(of.members[name]))


def _structures(value: Any, shape: Shape) -> Iterator[tuple[dict[str, Any], StructureShape]]:
    """The structures of a request that are of their shape: itself, and those in it."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        yield value, shape
        for name, member in value.items():
            if name in shape.members:
                yield from _structures(member, shape.members[name])
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for member in value:
            yield from _structures(member, shape.member)


def seeds_and_what_they_lack(operation: str) -> list[Any]:
    """The operation's seeds, and some without one of their members, none twice."""
    shape = MODEL.operation_model(operation).input_shape
    seeds = SEEDS.get(operation, [{}])
    made = {json.dumps(seed): seed for seed in seeds}
    for seed in seeds[:: 1 + len(seeds) // SEEDS_THAT_LACK]:
        for at, (node, _) in enumerate(_structures(seed, shape)):
            for name in node:
                request = copy.deepcopy(seed)
                del list(_structures(request, shape))[at][0][name]
                made[json.dumps(request)] = request
    return list(made.values())


@st.composite
def values_of(draw: st.DrawFn, shape: Shape) -> Any:
    """A value of a shape, now and then nonsense."""
    if draw(st.integers(0, 24)) == 24:
        return draw(st.sampled_from(NONSENSE))
    if isinstance(shape, StructureShape):
        others = sorted(set(shape.members) - set(shape.required_members))
        chosen = draw(st.lists(st.sampled_from(others), max_size=4, unique=True)) if others else []
        return {name: draw(values_of(shape.members[name])) for name in (*shape.required_members, *chosen)}
    if isinstance(shape, ListShape):
        value = draw(values_of(shape.member))
        return [value] * draw(st.sampled_from(SIZES))
    if isinstance(shape, MapShape):
        return {draw(st.sampled_from(NAMES)): draw(values_of(shape.value)) for _ in range(draw(st.integers(0, 2)))}
    if shape.type_name == "string":
        return draw(st.sampled_from(shape.enum or NAMES)) if draw(st.integers(0, 9)) else draw(st.text(max_size=20))
    if shape.type_name == "boolean":
        return draw(st.booleans())
    return draw(st.sampled_from(NUMBERS))
