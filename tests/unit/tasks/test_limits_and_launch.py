"""Fargate's published sizes and RunTask's limits, as the user meets them."""

from __future__ import annotations

import json

import pytest

from ecs_feature.aws import limits
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.launch import Launch, Network, client_token, started_by
from ecs_feature.tasks.sizes import Size

NETWORK = Network(subnets=("subnet-0a",), security_groups=("sg-0a",))


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [(256, 512), (256, 2048), (512, 3072), (1024, 8192), (4096, 30720), (8192, 20480), (16384, 122880)],
)
def test_a_published_size_is_valid(cpu: int, memory: int) -> None:
    assert limits.valid_fargate_size(cpu, memory) == (cpu, memory)


@pytest.mark.parametrize(
    ("cpu", "memory", "said"),
    [
        (256, 4096, "with cpu 256 choose 512 to 2048 MiB, nearest 2048"),
        (300, 512, "cpu 300 is not a Fargate size"),
        (512, 1500, "nearest 1024 or 2048"),
        (8192, 18432, "nearest 16384 or 20480"),
    ],
)
def test_a_size_that_fargate_lacks_is_refused_with_the_nearest_ones(cpu: int, memory: int, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        limits.valid_fargate_size(cpu, memory, field="features.json: cpu/memory")
    assert said in str(refused.value)
    assert str(refused.value).startswith("features.json: cpu/memory: ")
    assert "task-cpu-memory-error.html" in str(refused.value)


@pytest.mark.parametrize(("count", "refused"), [(0, True), (1, False), (16, False), (17, True)])
def test_a_network_has_1_to_16_subnets(count: int, refused: bool) -> None:
    subnets = tuple(f"subnet-{i}" for i in range(count))
    if not refused:
        assert len(Network(subnets).to_aws()["awsvpcConfiguration"]["subnets"]) == count
        return
    with pytest.raises(ConfigurationError, match=f"subnets: {count} given, but awsvpc takes 1 to 16"):
        Network(subnets)


def test_a_network_has_at_most_5_security_groups() -> None:
    with pytest.raises(ConfigurationError, match="security_groups: 6 given, but awsvpc takes at most 5"):
        Network(("subnet-0a",), tuple(f"sg-{i}" for i in range(6)))


def launch(**changes: object) -> Launch:
    values = {
        "cluster": "features",
        "task_definition": "f:1",
        "container": "features",
        "network": NETWORK,
        "started_by": "d",
    }
    return Launch(**{**values, **changes})  # type: ignore[arg-type]


def test_a_launch_asks_for_one_task_with_its_environment_and_tags() -> None:
    request = launch(
        environment={"SHARD": "UA"},
        tags={"run": "a b(c)"},
        started_by="my.dag/0199-uuid",
        client_token="t",
        command=("x",),
    ).to_aws()
    assert request == {
        "cluster": "features",
        "taskDefinition": "f:1",
        "count": 1,
        "launchType": "FARGATE",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-0a"],
                "securityGroups": ["sg-0a"],
                "assignPublicIp": "DISABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {"name": "features", "environment": [{"name": "SHARD", "value": "UA"}], "command": ["x"]}
            ]
        },
        "enableECSManagedTags": True,
        "propagateTags": "TASK_DEFINITION",
        "startedBy": "ecs-feature/my-dag/0199-uuid",
        "tags": [{"key": "run", "value": "a b_c_"}],
        "clientToken": "t",
    }


def test_a_spot_launch_asks_by_capacity_provider_and_not_by_launch_type() -> None:
    request = launch(capacity="spot", size=Size(512, 2048, {"features": 1024, "logger": 512})).to_aws()
    assert request["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert "launchType" not in request
    assert request["overrides"] == {
        "cpu": "512",
        "memory": "2048",
        "containerOverrides": [{"name": "features", "memory": 1024}, {"name": "logger", "memory": 512}],
    }


def test_overrides_of_8192_characters_pass_and_one_more_is_refused() -> None:
    empty = len('{"containerOverrides": [{"name": "features", "environment": [{"name": "X", "value": ""}]}]}')
    assert launch(environment={"X": "v" * (8192 - empty)}).overrides()
    with pytest.raises(ConfigurationError, match="the overrides are 8193 characters, but RunTask takes 8192"):
        launch(environment={"X": "v" * (8193 - empty)}).overrides()


def test_a_launch_survives_the_way_through_a_triggers_arguments() -> None:
    original = launch(environment={"SHARD": "UA"}, command=("a", "b"), tags={"k": "v"}, started_by="d")
    assert Launch.from_dict(original.to_dict()) == original


def test_the_client_token_is_the_same_for_the_same_try_and_another_for_each_relaunch() -> None:
    assert client_token("0199-uuid", 0) == client_token("0199-uuid", 0)
    assert len({client_token("0199-uuid", 0), client_token("0199-uuid", 1), client_token("0200-uuid", 0)}) == 3
    assert len(client_token("0199-uuid", 0)) == limits.CLIENT_TOKEN_CHARACTERS


def test_started_by_holds_only_what_ecs_allows_and_the_whole_id_of_the_try() -> None:
    uuid = "01990000-0000-7000-8000-000000000000"
    made = started_by(f"a.dag with spaces/{'x' * 200}/{uuid}")
    assert limits.STARTED_BY.fullmatch(made)
    assert len(made) == 128
    assert made.endswith(f"x/{uuid}")


@pytest.mark.parametrize("capacity", ["spot", ({"capacityProvider": "FARGATE", "weight": 1},)])
def test_a_capacity_survives_the_way_through_a_triggers_arguments(capacity: object) -> None:
    original = launch(capacity=capacity)
    assert Launch.from_dict(json.loads(json.dumps(original.to_dict()))) == original


def test_a_launch_without_a_network_asks_for_none() -> None:
    original = launch(network=None, capacity="ec2")
    assert "networkConfiguration" not in original.to_aws()
    assert Launch.from_dict(json.loads(json.dumps(original.to_dict()))) == original


BATCH = ({"capacityProvider": "batch", "weight": 1},)


@pytest.mark.parametrize(
    ("changes", "definition", "kept"),
    [
        ({"capacity": "ec2"}, {"networkMode": "bridge"}, False),
        ({"capacity": "ec2"}, {"family": "f"}, False),
        ({"capacity": "ec2"}, {"networkMode": "awsvpc"}, True),
        ({"capacity": "ec2"}, {}, True),
        ({"capacity": BATCH}, {"networkMode": "host"}, False),
        ({"capacity": "cluster_default", "default_strategy": BATCH}, {"networkMode": "none"}, False),
        ({"capacity": "cluster_default", "default_strategy": ()}, {"networkMode": "bridge"}, False),
        ({"capacity": "cluster_default"}, {"networkMode": "bridge"}, True),
        ({"capacity": "on_demand"}, {"networkMode": "bridge"}, True),
    ],
    ids=[
        "bridge", "bridge by default", "awsvpc", "definition not known", "a group's provider", "the cluster's provider",
        "no default is EC2", "default not known", "Fargate",
    ],
)  # fmt: skip
def test_a_task_that_shares_its_hosts_network_is_launched_without_one(
    changes: dict[str, object], definition: dict[str, object], kept: bool
) -> None:
    assert (launch(**changes).fitted(definition).network is not None) is kept
