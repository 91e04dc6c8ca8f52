"""Writes a new pipeline into a project: DAG file, task definition, image and test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.project.layout import INCLUDE, Layout

FILES: Final = Path(__file__).with_name("files")
NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
MAX_NAME: Final = 50
"""It becomes a DAG id, a family of task definitions and a folder, all of which allow more."""


@dataclass(frozen=True)
class Scaffold:
    """The files of a new pipeline.

    :param name: its DAG id, e.g. ``state_features``; the task definition and the image are called ``state-features``.
    :raises ConfigurationError: the name does not fit.
    """

    name: str
    layout: Layout

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            raise ConfigurationError(
                f"NAME: {self.name!r} is not one; use up to {MAX_NAME} lower-case letters and digits, with single _ or "
                "- between them, e.g. state_features."
            )

    def contents(self) -> dict[Path, str]:
        """The text of each file by its path."""
        layout, values = self.layout, self._values()
        image = layout.images / values["module"]
        texts = {
            layout.dags / f"{values['module']}.py": "pipeline",
            layout.taskdefs / f"{values['family']}.json": "taskdef",
            image / "Dockerfile": "dockerfile",
            image / "requirements.txt": "requirements",
            image / "job.py": "job",
            layout.tests / f"test_{values['module']}.py": "test",
        }
        written = {path: _Template(_read(f"{kind}.tmpl")).substitute(values) for path, kind in texts.items()}
        return {**written, image / "contract.py": _read("contract.py")}

    def write(self) -> list[Path]:
        """Write the files; returns their paths.

        :raises ConfigurationError: one is there already; then nothing is written.
        """
        contents = self.contents()
        if there := [path for path in contents if path.exists()]:
            more = f" and {len(there) - 1} more files are" if len(there) > 1 else " is"
            raise ConfigurationError(
                f"{there[0]}{more} there already, and nothing was written; choose another name, or remove what is "
                "there."
            )
        for path, text in contents.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise ConfigurationError(f"{path} cannot be written ({error.strerror}).") from error
        return list(contents)

    def _values(self) -> Mapping[str, str]:
        module, layout = self.name.replace("-", "_"), self.layout

        def within(path: Path) -> str:
            return path.relative_to(layout.root).as_posix()

        imports, field = "", ""
        if not layout.has_include:
            imports = "from pathlib import Path\n\n"
            field = '    taskdefs=Path(__file__).with_name("taskdefs"),\n'
        return {
            "name": self.name,
            "module": module,
            "family": self.name.replace("_", "-"),
            "image": within(layout.images / module),
            "imports": imports,
            "taskdefs": field,
            "include": INCLUDE,
        }


class _Template(Template):
    """``@name`` is replaced; ``${NAME}`` belongs to the environment file."""

    delimiter = "@"


def _read(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")
