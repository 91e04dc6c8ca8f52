"""Checks a project's DAG files, task definitions and environment file, without Airflow's database and without AWS.

DAG files are imported as Airflow's DAG processor does it. What operators say when they run (``register`` above all) is
said here of the tasks that the files make.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecs_feature.environment import load_environment
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.project.launches import launches_of
from ecs_feature.project.layout import DAGS, Layout, dags_folder_of
from ecs_feature.tasks import definitions
from ecs_feature.tasks.definition_files import read

ENVIRONMENT_FILE: Final = "AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE"
DAGS_FOLDER: Final = "AIRFLOW__CORE__DAGS_FOLDER"
TRACEBACKS: Final = "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS"
SAFE_MODE_WORDS: Final = ("dag", "airflow")
"""Airflow skips a file without both of them, in any case of letters ([core] dag_discovery_safe_mode)."""
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Warning|Exit): ")


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file, in one sentence."""

    file: Path
    sentence: str

    def __str__(self) -> str:
        return f"{_shown(self.file)}: {self.sentence}"


@dataclass(frozen=True)
class Files:
    """What is checked.

    :param dags: DAG files and DAGs folders, each with the DAGs folder that it belongs to.
    :param task_definitions: JSON files.
    """

    dags: tuple[tuple[Path, Path], ...]
    task_definitions: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Files:
        """A project's folder, a DAGs folder, a DAG file, or a task definition.

        :raises ConfigurationError: a path is none of them.
        """
        dags: list[tuple[Path, Path]] = []
        task_definitions: list[Path] = []
        for path in (each.resolve() for each in paths):
            if path.is_dir():
                layout = Layout.of(path if (path / DAGS).is_dir() or path.name != DAGS else path.parent)
                folder = layout.dags if layout.dags.is_dir() else path
                dags.append((folder, folder))
                task_definitions += sorted(layout.taskdefs.glob("*.json"))
            elif path.suffix == ".json" and path.is_file():
                task_definitions.append(path)
            elif path.suffix == ".py" and path.is_file():
                dags.append((path, dags_folder_of(path)))
            else:
                raise ConfigurationError(
                    f"{path} is no folder, no DAG file (.py) and no task definition (.json); name one that is there."
                )
        return cls(tuple(dags), tuple(task_definitions))


def check(paths: Iterable[Path], environment_file: Path | None = None) -> list[Finding]:
    """What is wrong with these files, by file; nothing when all is well.

    :param environment_file: with the placeholders' values; default: the one that Airflow's configuration names.
    :raises ConfigurationError: a path is no file that can be checked.
    """
    files = Files.of(paths)
    with _options({ENVIRONMENT_FILE: environment_file.resolve()} if environment_file else {}):
        try:
            values = load_environment()
        except ConfigurationError as error:
            return [Finding(Path(os.environ.get(ENVIRONMENT_FILE, "airflow.cfg")), str(error))]
        found = [finding for path, folder in files.dags for finding in _in_dags(path, folder, values)]
        found += [finding for path in files.task_definitions for finding in _in_task_definition(path, values)]
    return sorted(dict.fromkeys(found), key=lambda finding: str(finding.file))


def _in_dags(path: Path, dags_folder: Path, values: Mapping[str, str]) -> Iterator[Finding]:
    """Of a DAG file, or of all in a folder."""
    from airflow.dag_processing.dagbag import DagBag

    yield from _skipped(path)
    # The root's plugins folder, as Airflow has it on the path; the package itself is imported already.
    with _options({DAGS_FOLDER: dags_folder, TRACEBACKS: "False"}), _importable(dags_folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bag = DagBag(str(path), bundle_path=dags_folder, bundle_name="lint")
        for name, text in bag.import_errors.items():
            yield Finding(dags_folder / name, _sentence(text))
        for dag in bag.dags.values():
            yield from _in_dag(dag, values)


def _in_dag(dag: Any, values: Mapping[str, str]) -> Iterator[Finding]:
    launches = launches_of(dag)
    for task in dag.tasks:
        if not isinstance(task, EcsTaskDefinitionOperator):
            continue
        path = Path(task.path)
        if not path.exists():
            yield Finding(
                Path(dag.fileloc), f"task_definition: {_shown(path)}, which {task.task_id} registers, does not exist."
            )
            continue
        mine = values if task.environment is None else task.environment
        yield from _in_task_definition(path, mine, [task.container] if task.container else [])
        try:
            definition = definitions.load(path, mine)
        except ConfigurationError:
            continue  # said above
        for launch in launches.get(task.task_id, ()):
            yield from (Finding(path, sentence) for sentence in launch.conflicts(definition))


def _in_task_definition(path: Path, values: Mapping[str, str], containers: Sequence[str] = ()) -> Iterator[Finding]:
    """What ``register`` would say.

    :param containers: that pipelines run shards in.
    """
    if unknown := _unknown_placeholders(path, values):
        names, them = ", ".join(f"${{{name}}}" for name in unknown), "it" if len(unknown) == 1 else "them"
        has = "placeholder " + names + " has" if len(unknown) == 1 else "placeholders " + names + " have"
        yield Finding(
            path,
            f"the {has} no value; add {them} to the environment file ([ecs_feature] environment_file, "
            "docs/pipeline.md).",
        )
        return
    try:
        definition = definitions.load(path, values)
        for container in containers:
            definitions.check_container(definition, container, where=path.name)
    except ConfigurationError as error:
        yield Finding(path, str(error).removeprefix(f"{path.name}: "))
        return
    said = [definitions.hidden_retries(definition, container) for container in containers]
    yield from (Finding(path, sentence) for sentence in (*said, definitions.lossy_logs(definition)) if sentence)


def _unknown_placeholders(path: Path, values: Mapping[str, str]) -> list[str]:
    """All at once: registering names only the first."""
    asked = _Asked(values)
    try:
        read(path, asked)
    except ConfigurationError:
        return []  # which loading says
    return list(dict.fromkeys(asked.unknown))


class _Asked(dict[str, str]):
    """Values that note what is asked for in vain."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.unknown: list[str] = []

    def __missing__(self, name: str) -> str:
        self.unknown.append(name)
        return ""


def _skipped(path: Path) -> Iterator[Finding]:
    """Pipelines that Airflow never sees, because its safe mode skips their file without a word."""
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        text = file.read_text(encoding="utf-8", errors="replace")
        missing = [word for word in SAFE_MODE_WORDS if word not in text.lower()]
        if "FeaturePipeline(" in text and missing:
            yield Finding(
                file,
                f'Airflow skips this file silently, since it does not contain the word "{missing[0]}" '
                "([core] dag_discovery_safe_mode); write it, for example in the docstring.",
            )


def _sentence(text: str) -> str:
    """The last line of what Airflow keeps of an import error, without the exception's class when it is ours."""
    last = text.strip().rpartition("\n")[2]
    return _EXCEPTION.sub("", last) if "ecs_feature" in last or "Configuration" in last else last


def _shown(path: Path) -> str:
    """A path as the user would write it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@contextmanager
def _options(values: Mapping[str, Any]) -> Iterator[None]:
    """Airflow's options, set through the environment, which it reads at each look-up."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    """Folders on Python's path, as the DAGs folder is where Airflow imports DAG files."""
    before = list(sys.path)
    sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]
    try:
        yield
    finally:
        sys.path[:] = before
