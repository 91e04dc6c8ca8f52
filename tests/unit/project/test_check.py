"""What ``airflow ecs-feature lint`` finds, in files of a project of its own; and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.project.check import check
from ecs_feature.project.layout import Layout, find_project
from ecs_feature.project.scaffold import Scaffold

NAMES = ("CLUSTER", "SUBNETS", "SECURITY_GROUPS", "BUCKET", "REGION", "LOG_GROUP", "IMAGE_REGISTRY", "IMAGE_TAG",
         "EXECUTION_ROLE_ARN", "FEATURES_TASK_ROLE_ARN")  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]


class Project:
    """A project with one pipeline, as ``init`` writes it, and an environment file."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        Scaffold("state_features", self.layout).write()
        self.dag = self.layout.dags / "state_features.py"
        self.taskdef = self.layout.taskdefs / "state-features.json"
        self.environment = root / "environment.json"
        self.environment.write_text(json.dumps(dict.fromkeys(NAMES, "x")))

    def change(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def container(self, **values: Any) -> None:
        definition = json.loads(self.taskdef.read_text())
        definition["containerDefinitions"][0].update(values)
        self.taskdef.write_text(json.dumps(definition))

    def found(self, *paths: Path) -> list[str]:
        return [f"{each.file.name}: {each.sentence}" for each in check(paths or [self.layout.root], self.environment)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_a_project_that_init_wrote_has_nothing_to_find_however_it_is_named(project: Project) -> None:
    for paths in ([], [project.layout.dags], [project.dag], [project.taskdef], [project.dag, project.taskdef]):
        assert project.found(*paths) == []


def test_the_projects_own_files_have_nothing_to_find(project: Project, tmp_path: Path) -> None:
    names = {name for path in (ROOT / "include/taskdefs").glob("*.json") for name in _placeholders(path)}
    values = dict.fromkeys([*names, "CLUSTER", "BUCKET", "SUBNETS", "SECURITY_GROUPS"], "x")
    values |= {"ENCODER_CONTROL_URL": "http://e", "ENCODER_TREATMENT_URL": "http://e"}
    project.environment.write_text(json.dumps(values))
    assert project.found(ROOT / "dags") == []


def _placeholders(path: Path) -> list[str]:
    import re

    return re.findall(r"\$\{(\w+)\}", path.read_text())


Change = Callable[[Project], object]


def dag(old: str, new: str) -> Change:
    return lambda project: project.change(project.dag, old, new)


def taskdef(old: str, new: str) -> Change:
    return lambda project: project.change(project.taskdef, old, new)


def environment(**values: str | None) -> Change:
    def change(project: Project) -> None:
        known = {**dict.fromkeys(NAMES, "x"), **values}
        project.environment.write_text(json.dumps({name: value for name, value in known.items() if value is not None}))

    return change


AWSLOGS = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r"}}
FINDINGS: list[tuple[str, Change, list[str]]] = [
    (
        "no task definition file",
        lambda project: project.taskdef.unlink(),
        [
            "state_features.py: task_definition: {root}/include/taskdefs/state-features.json: cannot be read (No such "
            "file or directory)."
        ],
    ),
    (
        "no task definition file, and a container",
        lambda project: (project.taskdef.unlink(), dag("shards=", 'container="job",\n    shards=')(project)),
        [
            "state_features.py: task_definition: include/taskdefs/state-features.json, which register registers, does "
            "not exist."
        ],
    ),
    (
        "another container",
        dag("shards=", 'container="main",\n    shards='),
        ["state-features.json: container: 'main' is not in state-features.json; it has job."],
    ),
    (
        "a container that is not essential",
        lambda project: (project.container(essential=False), dag("shards=", 'container="job",\n    shards=')(project)),
        ["state-features.json: no container is essential; at least one must be."],
    ),
    (
        "placeholders without a value",
        environment(LOG_GROUP=None, REGION=None),
        [
            "state-features.json: the placeholders ${LOG_GROUP}, ${REGION} have no value; add them to the environment "
            "file ([ecs_feature] environment_file, docs/pipeline.md)."
        ],
    ),
    (
        "a placeholder of the pipeline without a value",
        environment(BUCKET=None),
        [
            "state_features.py: output_uri: the placeholder ${BUCKET} has no value; add BUCKET to the environment file "
            "([ecs_feature] environment_file, docs/pipeline.md)."
        ],
    ),
    (
        "SHARD in the pipeline's environment",
        dag("shards=", 'environment={"SHARD": "x"},\n    shards='),
        [
            "state_features.py: environment: SHARD is set by the pipeline for each shard (docs/job-contract.md); "
            "give yours another name."
        ],
    ),
    (
        "SHARD in the task definition",
        lambda project: project.container(environment=[{"name": "SHARD", "value": "x"}]),
        [
            "state-features.json: environment SHARD of container job is overwritten by the pipeline for each shard; "
            "take it out."
        ],
    ),
    (
        "a secret that the pipeline sets",
        lambda project: (
            project.container(secrets=[{"name": "TOKEN", "valueFrom": "arn"}]),
            dag("shards=", 'environment={"TOKEN": "x"},\n    shards=')(project),
        ),
        [
            "state-features.json: secret TOKEN of container job has the name of a variable that the pipeline sets, and "
            "ECS refuses that; rename one of them."
        ],
    ),
    (
        "no size of Fargate",
        taskdef('"memory": "512"', '"memory": "100"'),
        [
            "state-features.json: cpu/memory: Fargate has no task with cpu 256 and memory 100 MiB; with cpu 256 "
            "choose 512 to 2048 MiB, nearest 512 (AmazonECS/latest/developerguide/task-cpu-memory-error.html)."
        ],
    ),
    (
        "a task definition for EC2 only",
        taskdef('"requiresCompatibilities": ["FARGATE"]', '"requiresCompatibilities": ["EC2"]'),
        [
            "state-features.json: requiresCompatibilities is EC2, but the pipeline's shards run on Fargate; add "
            'FARGATE, or give the pipeline capacity="ec2".'
        ],
    ),
    (
        "logs that may lose lines",
        lambda project: project.container(logConfiguration=AWSLOGS),
        [
            "state-features.json: awslogs of job has no mode, and ECS's default is non-blocking: last lines can be "
            'lost; set mode to "blocking" (docs/logs.md).'
        ],
    ),
    (
        "no JSON",
        taskdef('"cpu": "256",', '"cpu": "256"'),
        [
            "state_features.py: task_definition: state-features.json: not JSON (Expecting ',' delimiter: line 7 "
            "column 3 (char 204)).",
            "state-features.json: not JSON (Expecting ',' delimiter: line 7 column 3 (char 204)).",
        ],
    ),
    (
        "a file that Airflow skips",
        dag("Airflow DAG: ", ""),
        [
            'state_features.py: Airflow skips this file silently, since it does not contain the word "airflow" ([core] '
            "dag_discovery_safe_mode); write it, for example in the docstring."
        ],
    ),
    (
        "code that fails",
        dag("import pendulum", "import pendulum\n\nimport no_such_module"),
        ["state_features.py: No module named 'no_such_module'"],
    ),
    (
        "an environment file that is none",
        lambda project: project.environment.write_text("[]"),
        [
            "environment.json: [ecs_feature] environment_file: {root}/environment.json must be one flat JSON object "
            "whose values are strings."
        ],
    ),
]


@pytest.mark.parametrize(("change", "sentences"), [each[1:] for each in FINDINGS], ids=[each[0] for each in FINDINGS])
def test_each_finding_is_one_sentence_with_its_file(project: Project, change: Change, sentences: list[str]) -> None:
    change(project)
    assert [each.replace(str(project.layout.root), "{root}") for each in project.found()] == sentences


def test_a_path_that_is_no_file_to_check_is_refused(project: Project) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.txt is no folder, no DAG file"):
        project.found(project.layout.root / "nothing.txt")


def test_a_mapped_pipeline_is_checked_too(project: Project) -> None:
    project.change(project.dag, 'shards=("CA", "NY", "TX")', 'shards="s3://b/raw/ds={{ ds }}/state=*/"')
    project.container(environment=[{"name": "RUN_ID", "value": "x"}])
    assert project.found() == [
        "state-features.json: environment RUN_ID of container job is overwritten by the pipeline for each shard; take "
        "it out."
    ]


def test_without_an_include_folder_the_task_definitions_are_in_the_dags_folder(tmp_path: Path) -> None:
    (tmp_path / "mwaa" / "dags" / "deep").mkdir(parents=True)
    layout = find_project(tmp_path / "mwaa" / "dags" / "deep")
    Scaffold("state-features", layout).write()
    assert sorted(str(each.relative_to(layout.root)) for each in layout.root.rglob("*.*")) == [
        "dags/state_features.py",
        "dags/taskdefs/state-features.json",
        "images/state_features/contract.py",
        "images/state_features/job.py",
        "images/state_features/requirements.txt",
        "tests/test_state_features.py",
    ]
    environment_file = tmp_path / "environment.json"
    environment_file.write_text(json.dumps(dict.fromkeys(NAMES, "x")))
    assert check([layout.root], environment_file) == []
    (layout.taskdefs / "state-features.json").write_text("{}")
    assert [each.file.name for each in check([layout.root], environment_file)][-1:] == ["state-features.json"]
