"""Where a project keeps its DAG files, task definitions and images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecs_feature.exceptions import ConfigurationError

DAGS: Final = "dags"
INCLUDE: Final = "include"


@dataclass(frozen=True)
class Layout:
    """The folders of one project; they need not be there.

    ``include/`` beside ``dags/`` is Astro's layout and ours. Amazon MWAA gives its workers nothing but the DAGs folder
    (docs.aws.amazon.com/mwaa/latest/userguide/configuring-dag-folder.html): without ``include/``, the task definitions
    are in it.

    :param root: the project's folder.
    :param has_include: whether there is an ``include/`` beside ``dags/``.
    """

    root: Path
    has_include: bool = True

    @classmethod
    def of(cls, root: Path) -> Layout:
        """The layout of an existing project; of an empty folder, ours."""
        return cls(root, (root / INCLUDE).is_dir() or not (root / DAGS).is_dir())

    @property
    def dags(self) -> Path:
        return self.root / DAGS

    @property
    def taskdefs(self) -> Path:
        return (self.root / INCLUDE if self.has_include else self.dags) / "taskdefs"

    @property
    def images(self) -> Path:
        return (self.root / INCLUDE if self.has_include else self.root) / "images"

    @property
    def tests(self) -> Path:
        return self.root / "tests"


def find_project(start: Path) -> Layout:
    """The project that a folder is in: the nearest folder that has a ``dags`` folder.

    :raises ConfigurationError: there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / DAGS).is_dir():
            return Layout.of(folder)
    raise ConfigurationError(
        f"{start} is in no Airflow project (no folder has {DAGS}/); go into yours, or name a folder with --into."
    )


def dags_folder_of(file: Path) -> Path:
    """The DAGs folder that a DAG file is in: the nearest folder called ``dags``, else the file's own."""
    file = file.resolve()
    return next((folder for folder in file.parents if folder.name == DAGS), file.parent)
