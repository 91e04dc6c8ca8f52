"""What ``airflow ecs-feature init`` writes, and when it writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.project.layout import Layout, find_project
from ecs_feature.project.scaffold import Scaffold


def test_one_file_that_is_there_already_keeps_all_from_being_written(tmp_path: Path) -> None:
    mine = tmp_path / "include" / "images" / "rt" / "job.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(ConfigurationError, match=r"job\.py is there already, and nothing was written"):
        Scaffold("rt", Layout(tmp_path)).write()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "1st", "State", "a b", "a/b", "../x", "a__b", "a-", "x" * 51])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="NAME: "):
        Scaffold(name, Layout(tmp_path))


def test_the_pipeline_takes_eight_lines(tmp_path: Path) -> None:
    Scaffold("rt", Layout(tmp_path)).write()
    text = (tmp_path / "dags" / "rt.py").read_text()
    assert len(text[text.index("dag = ") :].splitlines()) == 8


def test_a_folder_in_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is in no Airflow project \(no folder has dags/\)"):
        find_project(tmp_path)
