"""Task definition files as people have them."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from ecs_feature.aws.limits import valid_fargate_size
from ecs_feature.environment import load_environment, substitute
from ecs_feature.exceptions import ConfigurationError, TaskDefinitionError
from ecs_feature.tasks import definition_files, definitions

VALUES = {"BUCKET": "b", "SHARD": "never"}


def app(**changes: Any) -> dict[str, Any]:
    return {"name": "app", "image": "example/app:1", **changes}


def fargate(**changes: Any) -> dict[str, Any]:
    """A task definition that AWS takes."""
    return {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
        "containerDefinitions": [app()],
        **changes,
    }


def written(tmp_path: Path, content: Any, encoding: str = "utf-8") -> Path:
    path = tmp_path / "job.json"
    if not isinstance(content, bytes):
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        content = text.encode(encoding)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("cpu", "memory", "plain"),
    [
        ("4 vCPU", "8 GB", ("4096", "8192")),
        (".25 vcpu", "1GB", ("256", "1024")),
        ("0.5 vCPU", "1 gb", ("512", "1024")),
        ("1vCPUs", "2 Gb", ("1024", "2048")),
        (1024, 2048, ("1024", "2048")),
        (" 1024 ", " 2048", ("1024", "2048")),
        ("32 vCPU", "120 GB", ("32768", "122880")),
        ("32768", "249856", ("32768", "249856")),
    ],
)
def test_sizes_are_read_in_every_form_that_ecs_takes(tmp_path: Path, cpu: Any, memory: Any, plain: Any) -> None:
    loaded = definitions.load(written(tmp_path, fargate(cpu=cpu, memory=memory)), {})
    assert (loaded["cpu"], loaded["memory"]) == plain


@pytest.mark.parametrize(
    ("cpu", "memory", "sentence"),
    [
        ("four", "8 GB", "cpu is 'four'; on Fargate it is CPU units or vCPUs"),
        ("1 vCPU", "8 TB", "memory is '8 TB'; on Fargate it is MiB or GB"),
        ("0.3 vCPU", "1 GB", "cpu is '0.3 vCPU'"),
        ("", "1 GB", "cpu is ''"),
        ("\uff12\uff15\uff16", "1 GB", "on Fargate it is CPU units or vCPUs"),
        ("1 vCPU", "1 GB", "Fargate has no task with cpu 1024 and memory 1024 MiB"),
        ("32 vCPU", "64 GB", "Fargate has no task with cpu 32768 and memory 65536 MiB"),
    ],
)
def test_other_sizes_are_refused(tmp_path: Path, cpu: str, memory: str, sentence: str) -> None:
    with pytest.raises(TaskDefinitionError) as error:
        definitions.load(written(tmp_path, fargate(cpu=cpu, memory=memory)), {})
    assert sentence in str(error.value)


def test_the_largest_task_of_fargate() -> None:
    assert valid_fargate_size(32768, 249856) == (32768, 249856)
    with pytest.raises(ConfigurationError):
        valid_fargate_size(32768, 245760)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_every_encoding_of_unicode(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, fargate(containerDefinitions=[app(command=["größe"])]), encoding)
    assert definitions.load(path, {})["containerDefinitions"][0]["command"] == ["größe"]


def test_the_environment_file_may_have_them_too(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes('{"A": "ü"}'.encode(encoding))
        assert load_environment(path) == {"A": "ü"}
    path.write_bytes(b'{"A": "\xff"}')
    with pytest.raises(ConfigurationError, match=r"environment_file: .* is not JSON"):
        load_environment(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"family": "\xfc"}', "job.json: its byte 13 is not utf-8; save the file as UTF-8."),
        (b"", "job.json: the file is empty"),
        (codecs.BOM_UTF8, "job.json: the file is empty"),
        ("[{}, {}]", "job.json: a JSON array of 2; a task definition is one object"),
        ('"text"', "job.json: 'text' is no JSON object"),
        ('{"a": 1,}', "remove the comma before a closing bracket"),
        ('// mine\n{"a": 1}', "JSON has no comments"),
        ('{"a": "http://x", // name\n"b": 1}', "JSON has no comments"),
        ("[" * 100_000, "nested too deeply"),
        ("family: job\ncpu: 512\n", "if it is YAML, write it as JSON"),
        ('{"a": NaN}', "job.json: NaN is no value of JSON"),
        ('{"cpu": "1", "cpu": "2"}', "job.json: cpu stands twice in one object"),
        ({"Family": "job", "ContainerDefinitions": []}, "ContainerDefinitions is how CloudFormation and CDK write it"),
        ({"Type": "AWS::ECS::TaskDefinition", "Properties": {}}, "Properties is how CloudFormation and CDK write it"),
        ({"Resources": {}}, "Resources is how CloudFormation and CDK write it"),
        (fargate(containerDefinitions=[{"image": "x"}]), "job.json: containerDefinitions[0] has no name; give it one."),
        (fargate(containerDefinitions=[{"name": "x"}]), "job.json: containerDefinitions[0] has no image; give it one."),
        (fargate(containerDefinitions=[app(), app()]), "job.json: app is the name of 2 containers; rename them."),
        (fargate(containerDefinitions=[app(essential=False)]), "job.json: no container is essential"),
        (fargate(containerDefinitions=[app(environment=[{"value": "x"}])]), "an entry of environment has no name"),
        (fargate(containerDefinitions=[]), "containerDefinitions has 0 containers"),
    ],
)
def test_what_is_no_task_definition_is_told_in_one_sentence(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(TaskDefinitionError) as error:
        definitions.load(written(tmp_path, content), {})
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaskDefinitionError, match=r"job\.json: cannot be read \(No such file or directory\)"):
        definitions.load(tmp_path / "job.json", {})


@pytest.mark.parametrize(
    ("containers", "sentence"),
    [
        ([app(memory=512, memoryReservation=256), app(name="b", memory=1024, memoryReservation=768)], ""),
        ([app(memory=2048, memoryReservation=256)], "container app has a limit of 2048 MiB, but the task has 1024"),
        (
            [app(memory=512), app(name="b", memory=768)],
            "the containers reserve 1280 MiB of memory, but the task has 1024",
        ),
        ([app(memory=256, memoryReservation=256)], ""),
        ([app(memory=256, memoryReservation=257)], "memory 256 must not be less than its memoryReservation 257"),
        ([app(cpu=256), app(name="b", cpu=256)], ""),
        ([app(cpu=256), app(name="b", cpu=512)], "the containers reserve 768 CPU units, but the task has 512"),
    ],
)
def test_limits_and_reservations(tmp_path: Path, containers: list[dict[str, Any]], sentence: str) -> None:
    path = written(tmp_path, fargate(containerDefinitions=containers))
    if not sentence:
        definitions.load(path, {})
        return
    with pytest.raises(TaskDefinitionError) as error:
        definitions.load(path, {})
    assert sentence in str(error.value)


SHOWN = {
    **fargate(containerDefinitions=[app(command=None, linuxParameters=None, environment=[])], ipcMode=None),
    "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/job:7",
    "revision": 7,
    "status": "ACTIVE",
    "requiresAttributes": [],
    "compatibilities": ["EC2", "FARGATE"],
    "registeredAt": "2026-01-01T00:00:00Z",
    "registeredBy": "arn:aws:iam::123456789012:user/ci",
}


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_describe_task_definition_prints_is_taken_without_what_is_not_registered(
    tmp_path: Path, wrapped: bool
) -> None:
    tags = [{"key": "team", "value": "x"}]
    others = [{"key": key, "value": "x"} for key in ("aws:cloudformation:stack-name", "ecs-feature:digest")]
    path = written(tmp_path, {"taskDefinition": SHOWN, "tags": [*others, *tags]} if wrapped else SHOWN)
    loaded = definitions.load_with_notes(path, {})
    assert loaded.content == {
        **fargate(containerDefinitions=[app(environment=[])]),
        **({"tags": tags} if wrapped else {}),
    }
    (note,) = loaded.notes
    assert note.startswith("job.json: left out ")
    assert "taskDefinitionArn, revision, status" in note
    assert "containerDefinitions[0].command, containerDefinitions[0].linuxParameters, ipcMode (null or empty)" in note
    assert ("the frame of describe-task-definition" in note) is wrapped


def test_nothing_is_said_of_a_file_that_is_taken_whole(tmp_path: Path) -> None:
    assert definitions.load_with_notes(written(tmp_path, fargate()), {}).notes == ()


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("s3://${BUCKET}/x", "s3://b/x"),
        ("run --out ${OUTPUT_URI} ${SHARD}", "run --out ${OUTPUT_URI} ${SHARD}"),
        ("$${BUCKET} $${NO_SUCH}", "${BUCKET} ${NO_SUCH}"),
        ("$BUCKET ${BUCKET:-x} ${1} $$ $(pwd) ${}", "$BUCKET ${BUCKET:-x} ${1} $$ $(pwd) ${}"),
    ],
)
def test_a_shells_braces(tmp_path: Path, text: str, filled: str) -> None:
    path = written(tmp_path, fargate(containerDefinitions=[app(command=["sh", "-c", text])]))
    assert definitions.load(path, VALUES)["containerDefinitions"][0]["command"][2] == filled
    assert substitute([text], VALUES, where="command", keep=("SHARD", "OUTPUT_URI")) == [filled]


def test_a_containers_own_variables_are_its_shells_and_placeholders_stay_placeholders(tmp_path: Path) -> None:
    values = {"VARIANT": "blue", "MODELS": "never", "IMAGE": "x:1"}
    command = ["sh", "-c", "ls ${MODELS} ${VARIANT}"]
    mine = app(image="${IMAGE}", command=command, environment=[{"name": "MODELS", "value": "/models/${VARIANT}"}])
    (loaded,) = definitions.load(written(tmp_path, fargate(containerDefinitions=[mine])), values)[
        "containerDefinitions"
    ]
    assert (loaded["image"], loaded["command"]) == ("x:1", command)
    assert loaded["environment"] == [{"name": "MODELS", "value": "/models/blue"}]
    assert substitute("s3://b/${VARIANT}", values, where="output_uri") == "s3://b/blue"


def test_a_placeholder_without_a_value_says_how_to_write_it_for_a_shell(tmp_path: Path) -> None:
    path = written(tmp_path, fargate(containerDefinitions=[app(command=["sh", "-c", "run ${NO_SUCH}"])]))
    with pytest.raises(TaskDefinitionError) as error:
        definitions.load(path, VALUES)
    assert "job.json.containerDefinitions[0].command[2]: the placeholder ${NO_SUCH} has no value" in str(error.value)
    assert "write $${NO_SUCH} where the container's shell is to read it" in str(error.value)


def test_a_name_is_a_secret_or_a_variable(tmp_path: Path) -> None:
    secret = {"name": "DB_USER", "valueFrom": "arn:aws:ssm:eu-west-1:1:parameter/x"}
    both = app(environment=[{"name": "DB_USER", "value": "x"}], secrets=[secret])
    for wrong in (both, app(secrets=[secret, secret])):
        with pytest.raises(TaskDefinitionError, match="DB_USER is both a secret and a variable, or a secret twice"):
            definitions.load(written(tmp_path, fargate(containerDefinitions=[wrong])), {})
    definition = definitions.load(written(tmp_path, fargate(containerDefinitions=[app(secrets=[secret])])), {})
    definitions.check_variables(definition, "app", ["DB_HOST"])
    with pytest.raises(TaskDefinitionError, match="environment: DB_USER is a secret of container app"):
        definitions.check_variables(definition, "app", ["DB_USER"])


def test_a_volume_that_is_configured_at_launch_loads(tmp_path: Path) -> None:
    volume = {"name": "scratch", "configuredAtLaunch": True}
    mounted = app(mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}])
    path = written(tmp_path, fargate(volumes=[volume], containerDefinitions=[mounted]))
    assert definitions.load(path, {})["volumes"] == [volume]


def test_what_says_nothing_is_left_out_and_named(tmp_path: Path) -> None:
    volume = {"name": "a", "host": {}}
    empty = {"logConfiguration": {}, "healthCheck": {"command": None}, "user": "", "workingDirectory": None}
    kept = {
        "command": ["sh", ""],
        "environment": [{"name": "A", "value": ""}],
        "dockerLabels": {"b": ""},
        "mountPoints": [],
    }
    path = written(
        tmp_path,
        fargate(taskRoleArn="", ephemeralStorage={}, volumes=[volume], containerDefinitions=[app(**empty, **kept)]),
    )
    loaded = definitions.load_with_notes(path, {})
    assert loaded.content == fargate(volumes=[{"name": "a"}], containerDefinitions=[app(**kept)])
    assert loaded.notes == (
        "job.json: left out containerDefinitions[0].logConfiguration, containerDefinitions[0].healthCheck.command, "
        "containerDefinitions[0].healthCheck, containerDefinitions[0].user, containerDefinitions[0].workingDirectory, "
        "taskRoleArn and 2 more (null or empty).",
    )


def test_a_null_among_the_words_of_a_command_is_refused_and_not_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, fargate(containerDefinitions=[app(command=["rm", None, "x"])]))
    with pytest.raises(TaskDefinitionError, match=r"containerDefinitions\[0\].command\[1\], value: None"):
        definitions.load(path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n"b": {"a": 2},\n"a": 3}', "job.json: a stands twice in one object (line 3); remove one."),
        ('[{"a": 1}, {"a": 1,\n"\\u0061": 2}]', "job.json: a stands twice in one object (line 2); remove one."),
        ('[{"a": "\\"b\\": {", "b": "}"}]', "job.json: a JSON array"),
    ],
)
def test_a_key_that_stands_twice_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TaskDefinitionError) as caught:
        definitions.load(written(tmp_path, text), {})
    assert said in str(caught.value)


def test_what_is_read_only_is_all_that_ecs_has_and_register_has_not() -> None:
    ecs = botocore.session.Session().get_service_model("ecs")
    shown, taken = ecs.shape_for("TaskDefinition").members, ecs.shape_for("RegisterTaskDefinitionRequest").members
    assert set(definition_files.READ_ONLY) == shown.keys() - taken.keys()


@pytest.mark.parametrize("wrapped", [False, True])
def test_tags_of_aws_and_ours_are_left_out_wherever_they_stand(tmp_path: Path, wrapped: bool) -> None:
    others = [{"key": key, "value": "x"} for key in ("aws:cloudformation:stack-name", "ecs-feature:digest")]
    content = {"taskDefinition": fargate(), "tags": others} if wrapped else fargate(tags=others)
    loaded = definitions.load_with_notes(written(tmp_path, content), {})
    assert loaded.content == fargate()
    assert "the tags aws:cloudformation:stack-name, ecs-feature:digest" in loaded.notes[0]


@pytest.mark.parametrize("tags", ["x", [None], [1], {"a": "b"}])
@pytest.mark.parametrize("wrapped", [False, True])
def test_tags_of_another_form_are_one_sentence(tmp_path: Path, tags: Any, wrapped: bool) -> None:
    content = {"taskDefinition": fargate(), "tags": tags} if wrapped else fargate(tags=tags)
    with pytest.raises(TaskDefinitionError, match=r"job.json: Invalid type for parameter tags"):
        definitions.load(written(tmp_path, content), {})
