"""The job of rt_live as a process, end to end; and that nothing of the future is in its output."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import BUCKET, MODELS_DIR, S3, Process

from rt_live_data import source

Environment = Callable[..., dict[str, str]]
Run = Callable[..., Process]
DAY = date(2020, 6, 15)


@pytest.fixture
def put(s3: S3) -> Callable[[str, bytes], str]:
    """Puts a day's file under a prefix of its own; returns the prefix."""

    def write(name: str, content: bytes) -> str:
        s3.client.put_object(Bucket=BUCKET, Key=f"rt/{name}/ds={DAY}/states_daily.csv", Body=content)
        return f"s3://{BUCKET}/rt/{name}/"

    return write


@pytest.fixture
def environment(s3: S3) -> Environment:
    def make(input_uri: str, **changes: str) -> dict[str, str]:
        stem = f"{input_uri}out/{changes.get('SHARD', 'NY')}"
        return {
            **s3.environ,
            "SHARD": "NY",
            "LOGICAL_DATE": str(DAY),
            "RUN_ID": "manual",
            "ATTEMPT": "1",
            "INPUT_URI": input_uri,
            "OUTPUT_URI": f"{stem}.csv",
            "RESULT_URI": f"{stem}.json",
            "MODELS_DIR": str(MODELS_DIR),
            **changes,
        }

    return make


@pytest.fixture
def run(run_module: Run) -> Callable[[dict[str, str]], Process]:
    return lambda environ: run_module("rt_live", "rt_state", environ)


def test_a_shard_leaves_its_file_and_a_result_with_size_rows_and_checksum(
    put: Any, environment: Environment, run: Any, s3: S3
) -> None:
    environ = environment(put("whole", source.as_csv(source.published(DAY))))
    done = run(environ)
    content = s3.read(environ["OUTPUT_URI"])
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert (done.exit_code, done.errors) == (0, "")
    assert [rows[0]["date"], rows[-1]["date"], len(rows)] == ["2020-03-04", "2020-06-15", 104]
    assert json.loads(s3.read(environ["RESULT_URI"])) == {
        "shard": "NY",
        "rows": 104,
        "files": [
            {
                "uri": environ["OUTPUT_URI"],
                "bytes": len(content),
                "rows": 104,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
    }
    assert [line.split(" ")[0] for line in done.lines] == ["start", "read", "computed", "written", "written", "done"]
    # 51 of them start on two cores in make rt-live
    assert float(done.lines[-1].split("cpu_seconds=")[1]) < 1.5


def test_rows_after_the_day_and_other_states_change_no_byte(
    put: Any, environment: Environment, run: Any, s3: S3
) -> None:
    published = source.published(DAY)
    later = [{**row, "date": f"2020-07-{n:02d}", "positive": str(n * 10**6)} for n, row in enumerate(published[:9], 1)]
    later += [{**later[0], "state": "NY", "date": "2020-06-16", "positive": "many"}]
    other = [row if row["state"] == "NY" else {**row, "positive": ""} for row in published]
    outputs = []
    for name, rows in (("now", published), ("later", [*published, *later]), ("other", other)):
        environ = environment(put(name, source.as_csv(rows)))
        assert run(environ).exit_code == 0
        outputs.append(s3.read(environ["OUTPUT_URI"]))
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_row_of_the_day_does_change_it(put: Any, environment: Environment, run: Any, s3: S3) -> None:
    published = source.published(DAY)
    changed = [
        {**row, "positive": str(int(row["positive"]) + 500)} if (row["date"], row["state"]) == (str(DAY), "NY") else row
        for row in published
    ]
    outputs = []
    for name, rows in (("before", published), ("after", changed)):
        environ = environment(put(name, source.as_csv(rows)))
        assert run(environ).exit_code == 0
        outputs.append(s3.read(environ["OUTPUT_URI"]).decode().splitlines())
    assert outputs[0][:-1] == outputs[1][:-1]
    assert outputs[0][-1] != outputs[1][-1]


def test_changing_the_model_file_changes_the_result(
    put: Any, environment: Environment, run: Any, s3: S3, tmp_path: Path
) -> None:
    shutil.copytree(MODELS_DIR, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "rt_live.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": "2", "interval": 0.5}))
    uri = put("model", source.as_csv(source.published(DAY)))
    environ = environment(uri, MODELS_DIR=str(tmp_path))
    assert "model_version=2" in run(environ).lines[2]
    last = next(reversed(list(csv.DictReader(io.StringIO(s3.read(environ["OUTPUT_URI"]).decode())))))
    assert 0 < float(last["rt_high"]) - float(last["rt_low"]) < 0.25


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"process_noise": 0}, "has process_noise = 0: it must be a number from 0.01 to 2."),
        ({"process_noise": True}, "has process_noise = True: it must be a number from 0.01 to 2."),
        ({"interval": "0.9"}, "has interval = '0.9': it must be a number from 0.5 to 0.99."),
        ({"rt_step": None}, "has rt_step = None: it must be a number from 0.005 to 0.1."),
        ({"smoothing_days": 8}, "has smoothing_days = 8: it must be an odd whole number, 1 to 29."),
        ({"version": 1}, "has version = 1: it must be a text."),
        ([], "is not a JSON object."),
    ],
)
def test_a_wrong_model_is_one_sentence(change: Any, sentence: str, tmp_path: Path) -> None:
    from rt_state import model
    from rt_state.errors import JobError

    content = json.loads((MODELS_DIR / "rt_live.json").read_text())
    (tmp_path / "rt_live.json").write_text(json.dumps({**content, **change} if change else change))
    with pytest.raises(JobError) as refused:
        model.load(tmp_path)
    assert str(refused.value) == f"model {tmp_path}/rt_live.json {sentence}"


@pytest.mark.parametrize(
    ("changes", "exit_code", "sentence"),
    [
        ({"SHARD": "New York"}, 2, "environment variable SHARD is 'New York': it must be a state such as NY."),
        ({"LOGICAL_DATE": "2020-02-30"}, 2, "environment variable LOGICAL_DATE is '2020-02-30': there is no such day."),
        (
            {"OUTPUT_URI": "s3://bucket/out.parquet"},
            2,
            "environment variable OUTPUT_URI is 's3://bucket/out.parquet': it must be an S3 object, s3://….csv.",
        ),
        ({"MODELS_DIR": ""}, 2, "environment variable MODELS_DIR is missing or empty: the job contract requires it."),
        (
            {"MODELS_DIR": "/nowhere"},
            1,
            "model /nowhere/rt_live.json cannot be read (No such file or directory): "
            "mount the shared-models file system at MODELS_DIR.",
        ),
        (
            {"LOGICAL_DATE": "2020-06-16"},
            1,
            f"s3://{BUCKET}/rt/wrong/ds=2020-06-16/states_daily.csv is missing: run ingest for that day.",
        ),
    ],
)
def test_what_keeps_the_result_from_being_whole_is_one_sentence(
    changes: dict[str, str], exit_code: int, sentence: str, put: Any, environment: Environment, run: Any, s3: S3
) -> None:
    done = run(environment(put("wrong", b"date,state,positive\n"), **changes))
    assert (done.exit_code, done.lines[-1], done.errors) == (exit_code, f"error {sentence}", "")
    assert s3.keys("rt/wrong/out/") == []
