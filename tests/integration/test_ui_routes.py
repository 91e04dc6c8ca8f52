"""The routes of the Shards tab on a real API server: who may read what, and the board against Airflow's own API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from ui_world import HOSTILE, World, hidden

pytestmark = pytest.mark.timeout(300)  # an API server starts in 15 to 60 s

PUBLIC = {
    "success": "PRSM",
    "failed": "F",
    "upstream_failed": "F",
    "running": "r",
    "deferred": "rw",
    "skipped": "n-",
    "removed": " ",
    "queued": "w",
    "scheduled": "w",
    "up_for_retry": "w",
    None: "wM",
}
"""Airflow's state -> the codes that the board may show for it."""
FILL = """
with create_session() as session:
    for day, run_id in ((2, "first"), (3, "second")):
        run = create(session, "named", run_id, day)
        for lane in ("control", "treatment"):
            for name, task_id in (("zeta", "zeta"), ("acme", "acme"), ("acme-eu", "acme-eu")):
                left(session, run, f"{lane}.shards.{task_id}", json.dumps(record(name, variant=lane)))
            left(session, run, f"{lane}.publish", {"version": 1, "manifest_uri": "s3://b/m", "missing": [],
                                                   "shards": ["acme", "acme-eu", "zeta"]})
        again = record("acme", launch(1, 0, 5, "spot_interruption"), launch(1, 6, 20, number=2), launch(2, 30, 42))
        left(session, run, "control.shards.acme", json.dumps(again))
        task(session, run, "control.shards.acme").try_number = 2
        bad = record("acme-eu", launch(1, 0, 5, "application_failure"), outcome="application_failure")
        left(session, run, "treatment.shards.acme-eu", json.dumps(bad))
        task(session, run, "treatment.shards.acme-eu").state = "failed"
        for name in ("img-src-x-onerror-alert-1-63b586b4", "etc-74ccf3c5"):
            task(session, run, f"treatment.shards.{name}").state = "skipped"
    run = create(session, "mapped", "day", 2)
    expand(session, run, "control.shard", ["acme", "acme-eu"])
    left(session, run, "control.shard", json.dumps(record("acme")), 0)
    left(session, run, "control.shard", json.dumps(record("acme-eu")), 1)
    left(session, run, "control.publish", {"version": 1, "manifest_uri": "s3://b/m", "missing": [], "shards": ["acme"]})
    create(session, "own", "day", 2)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    hidden()
    world = World(tmp_path_factory.mktemp("ui"))
    with world.forks:
        try:
            world.start()
            world.program(FILL)
            yield world
        finally:
            world.stop()


def states(world: World, dag_id: str, run_id: str) -> dict[tuple[str, int], Any]:
    """(task id, map index) -> (state, tries), by Airflow's REST API."""
    status, answer = world.ask(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000")
    assert status == 200
    return {
        (each["task_id"], each["map_index"]): (each["state"], each["try_number"])
        for each in answer["task_instances"]
        if each["operator"] == "EcsShardOperator"
    }


def check_cells(world: World, dag_id: str) -> dict[str, Any]:
    """The board equals the REST API cell by cell; returned."""
    board = world.get("board", dag_id=dag_id)
    for at, run in enumerate(board["runs"]):
        expected = states(world, dag_id, run["run_id"])
        shown = {}
        for lane in board["lanes"]:
            cells = board["cells"][lane["lane"]][at]
            if cells is None:
                continue
            for index, code in enumerate(cells["states"]):
                place = (
                    (lane["tasks"][0], cells.get("map", range(len(board["shards"])))[index])
                    if lane["mapped"]
                    else (lane["tasks"][index], -1)
                )
                shown[place] = (code, cells["tries"].get(str(index), 1))
        for place, (state, tries) in expected.items():
            code, known = shown[place]
            assert code in PUBLIC[state], (run["run_id"], place, state, code)
            assert known == max(1, tries), (run["run_id"], place)
        absent = {place: code for place, (code, _) in shown.items() if place not in expected and place[0]}
        assert set(absent.values()) <= {" "}, absent
    return board


ROUTES = """
from ecs_feature.ui.app import create_app

def walked(routes, prefix=""):
    for route in routes:
        if hasattr(route, "routes") and not hasattr(route, "methods"):
            yield from walked(route.routes, prefix + route.path)
        else:
            for method in sorted(getattr(route, "methods", None) or ["?"]):
                yield [method, prefix + route.path]

print(json.dumps(list(walked(create_app().routes))))
"""


def test_every_route_asks_who_you_are_and_whether_you_may(world: World) -> None:
    found = json.loads(world.program(ROUTES)[-1])
    assert sorted(path for _, path in found) == [
        f"/api/{name}" for name in ("board", "cell", "estimate", "overview", "run")
    ]
    query = "?dag_id=named&run_id=first&task_id=control.shards.acme"
    body = {"dag_id": "named", "runs": [{"run_id": "first", "cells": [["control.shards.acme", -1]]}]}
    for method, path in found:
        sent = {"body": body} if method == "POST" else {}
        url = f"/ecs_feature{path}" + ("" if method == "POST" else query)
        assert [world.ask(url, user, **sent)[0] for user in (None, "nobody", "viewer")] == [401, 403, 200], path
    for path in ("/docs", "/redoc", "/openapi.json", "/api", "/api/", "/"):
        assert world.ask(f"/ecs_feature{path}", "admin")[0] == 404, path


@pytest.mark.parametrize("dag_id", ["", "~", None])
def test_no_dag_is_not_all_dags(world: World, dag_id: str | None) -> None:
    query = "" if dag_id is None else f"?dag_id={quote(dag_id)}"
    assert world.ask(f"/ecs_feature/api/board{query}")[0] == 422
    assert world.ask("/ecs_feature/api/estimate", body={"dag_id": dag_id, "runs": []})[0] == 422


def test_nothing_can_be_written(world: World) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert world.ask("/ecs_feature/api/board?dag_id=named", "admin", method=method)[0] == 405


def test_the_board_equals_the_rest_api_named_mapped_and_in_groups(world: World) -> None:
    board = check_cells(world, "named")
    assert board["shards"][:3] == ["zeta", "acme", "acme-eu"]
    assert board["shards"][3:] == list(HOSTILE)
    assert [run["partition"] for run in board["runs"]] == ["2013-01-02", "2013-01-03"]
    control, treatment = (board["cells"][lane][0] for lane in ("control", "treatment"))
    assert control["states"] == "PPP" + "M" * 6
    assert treatment["states"] == "PPF--" + "M" * 4
    assert control["seconds"][:3] == [10, 12, 10]
    assert control["micro_usd"][:2] == [823, 2468]
    assert control["relaunched"] == [1]
    assert control["tries"] == {"1": 2}
    assert board["lanes"][0]["tasks"][1] == "control.shards.acme"
    mapped = check_cells(world, "mapped")
    assert (mapped["shards"], mapped["cells"]["control"][0]["states"]) == (["acme", "acme-eu"], "PR")
    own = check_cells(world, "own")
    assert [(lane["lane"], lane["group"], lane["variant"]) for lane in own["lanes"]] == [
        ("first", "first", ""),
        ("second", "second", ""),
    ]


def test_a_dag_that_is_none_of_ours_and_one_without_runs(world: World) -> None:
    assert world.get("board", dag_id="foreign") == {"dag_id": "foreign", "pipeline": False}
    assert world.get("board", dag_id="never") == {"dag_id": "never", "pipeline": False}
    empty = world.get("board", dag_id="empty")
    assert (empty["pipeline"], empty["runs"], empty["shards"], empty["cells"]) == (True, [], ["acme"], {"": []})
    assert world.ask("/ecs_feature/api/run?dag_id=named&run_id=never")[0] == 422


def test_a_cell_has_its_launches_their_cost_and_links(world: World) -> None:
    cell = world.get("cell", dag_id="named", run_id="first", task_id="control.shards.acme")
    assert (cell["shard"], cell["state"], cell["airflow_state"], cell["try"]) == ("acme", "P", "success", 2)
    assert [launch["usd"] for launch in cell["launches"]] == [0.000823] * 3
    assert cell["links"]["task"] == "dags/named/runs/first/tasks/control.shards.acme"
    assert cell["links"]["ecs"].startswith(
        "https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/features/tasks/21/"
    )
    failed = world.get("cell", dag_id="named", run_id="first", task_id="treatment.shards.acme-eu")
    assert (failed["state"], failed["outcome"]) == ("F", "application_failure")
    assert failed["outcome_words"] == "container features exited with code 1"
    mapped = world.get("cell", dag_id="mapped", run_id="day", task_id="control.shard", map_index=1)
    assert (mapped["shard"], mapped["state"]) == ("acme-eu", "R")
    assert mapped["links"]["task"] == "dags/mapped/runs/day/tasks/control.shard/mapped/1"


def test_a_run_has_its_shards_on_a_time_axis_and_its_failures_by_reason(world: World) -> None:
    run = world.get("run", dag_id="named", run_id="first")
    assert (run["headline"]["published"], run["headline"]["failed"], run["headline"]["total"]) == (5, 1, 16)
    acme = next(shard for shard in run["lanes"][0]["shards"] if shard["name"] == "acme")
    assert acme["segments"][:3] == [["launching", 0.0, 2.0], ["relaunched", 2.0, 5.0], ["backoff", 5.0, 6.0]]
    reasons = {reason["outcome"]: reason["cells"] for reason in run["reasons"]}
    assert reasons["application_failure"] == [["treatment", "acme-eu", "treatment.shards.acme-eu", -1]]
    assert [service["name"] for service in run["services"]] == ["encoder-control"] * 2
    assert {(version["lane"], version["version"], version["current"]) for version in run["versions"]} == {
        ("control", 1, True),
        ("treatment", 1, True),
    }


def test_the_overview_has_a_line_for_each_pipeline(world: World) -> None:
    assert [line["dag_id"] for line in world.get("overview")["pipelines"]] == [
        "alone", "empty", "mapped", "named", "own"
    ]  # fmt: skip


HOLDERS = """
from ecs_feature.ui.overview import overview

with create_session() as session:
    run = run_of(session, "named", "first")
    run.start_date = run.end_date = dt.datetime.now(UTC)
    left(session, run, "control.scale_up", {"services": [{
        "name": "encoder-control", "arn": "arn:aws:ecs:us-east-1:1:service/features/encoder-control", "running": 6,
        "at": dt.datetime.now(UTC).isoformat(), "desired": 6, "baseline": 0,
        "holders": [{"holder": f"{name}/control", "count": 2, "since": ""} for name in ("named/first", "mapped/day")],
    }]})
    session.flush()
    for readable in ({"named", "mapped"}, {"named"}):
        found = overview(session, lambda ids: [dag_id for dag_id in ids if dag_id in readable])
        (line,) = (line for line in found["pipelines"] if line["dag_id"] == "named")
        print(json.dumps([each["holder"] for each in line["services"][0]["holders"]]))
    session.rollback()
"""


def test_the_overview_names_no_run_of_a_dag_that_the_user_may_not_read(world: World) -> None:
    both, one = (json.loads(line) for line in world.program(HOLDERS)[-2:])
    assert both == ["named/first/control", "mapped/day/control"]
    assert one == ["named/first/control", None]


SO_FAR = """
from ecs_feature.ui import overview

with create_session() as session:
    now = dt.datetime.now(UTC)
    for run_id, state in (("first", "running"), ("second", "success")):
        run = run_of(session, "named", run_id)
        run.start_date, run._state = now, state
    session.flush()
    for overview.MOST_READ in (10_000, 5):
        found = overview.overview(session, list)
        (line,) = (line for line in found["pipelines"] if line["dag_id"] == "named")
        print(json.dumps([line["so_far"], line["today_usd"]]))
    session.rollback()
"""


def test_the_overview_has_what_a_run_that_goes_on_has_cost_so_far(world: World) -> None:
    """Three launches of acme and five of others at 823 millionths; there is no receipt. Not when there are too many."""
    some, none = (json.loads(line) for line in world.program(SO_FAR)[-2:])
    assert some == [True, pytest.approx(8 * 0.000823, rel=0.01)]
    assert none == [False, None]


def test_an_estimate_of_a_rerun(world: World) -> None:
    status, answer = world.ask(
        "/ecs_feature/api/estimate",
        body={"dag_id": "named", "runs": [{"run_id": "first", "cells": [["control.shards.acme", -1]]}]},
    )
    assert status == 200
    (row,) = answer["runs"]
    assert (row["shards"], row["services"]) == (1, [{"name": "encoder-control", "from": 0, "to": 2}])
    assert row["p50_seconds"] > 0
    assert row["usd"] > 0
    for wrong in (None, [{}], [{"run_id": "x", "cells": [["a"]]}]):
        assert world.ask("/ecs_feature/api/estimate", body={"dag_id": "named", "runs": wrong})[0] == 422


ASKED = """
from ecs_feature.ui import estimates

asked = []
estimates.estimate = lambda request, *_, **__: asked.append((list(request.variants), dict(request.chosen)))
cells = [["control.shards.acme", -1], ["treatment.shards.zeta", -1], ["treatment.shards.acme-eu", -1],
         ["control.shards.acme", -1]]
with create_session() as session:
    named = estimates.estimates(session, "named", [{"run_id": "first", "cells": cells}])
    found = [["control.shard", 1], ["control.shard", 7], ["control.shard", 8]]
    mapped = estimates.estimates(session, "mapped", [{"run_id": "day", "cells": found}])
print(json.dumps([asked, [answer["runs"][0]["shards"] for answer in (named, mapped)]]))
"""


def test_an_estimate_is_of_exactly_the_ticked_shards_of_each_variant(world: World) -> None:
    asked, shards = json.loads(world.program(ASKED)[-1])
    assert asked == [
        [["control", "treatment"], {"control": ["acme"], "treatment": ["acme-eu", "zeta"]}],
        [["control"], {"control": ["", "", "acme-eu"]}],  # the names of two are not known: any of the lane's
    ]
    assert shards == [3, 3]


CHANGES = {
    "marked success": 'task(session, run, "treatment.shards.acme-eu").state = "success"',
    "marked failed": 'task(session, run, "control.shards.zeta").state = "failed"',
    "cleared": (
        'ti = task(session, run, "control.shards.acme"); ti.state = None; run.state = "running"; run.end_date = None'
    ),
    "removed": 'task(session, run, "control.shards.zeta").state = "removed"',
    "ran again": (
        'ti = task(session, run, "treatment.shards.acme-eu"); ti.state = "success"; ti.try_number = 2;'
        'left(session, run, ti.task_id, json.dumps(record("acme-eu", launch(1, 0, 5, "application_failure"),'
        " launch(2, 20, 33))))"
    ),
    "deferred again": 'ti = task(session, run, "control.shards.zeta"); ti.state = "deferred"; run.state = "running"',
    "upstream failed": 'task(session, run, "control.shards.zeta").state = "upstream_failed"',
}
SUMMARISE = """
from ecs_feature.results.cells import BOARD_KEY, lane_summary, summary
from ecs_feature.tasks.prices import package_prices

def summarise(session, run, lanes, names, receipt="receipt"):
    at = dt.datetime.now(UTC)
    made = {}
    for lane in lanes:
        records, shards = {}, []
        for name, task_id, index in names(lane):
            ti = task(session, run, task_id, index)
            shards.append((name, index, ti.state))
            row = session.query(XComModel).filter_by(dag_id=run.dag_id, run_id=run.run_id, task_id=task_id,
                                                     map_index=index, key="return_value").one_or_none()
            if row is not None:
                records[name] = json.loads(row.value) if isinstance(row.value, str) else row.value
        row = session.query(XComModel).filter_by(dag_id=run.dag_id, run_id=run.run_id, task_id=f"{lane}.publish",
                                                 key="return_value").one_or_none()
        made[lane] = lane_summary(shards, records, row and row.value, package_prices(), START)
    board = summary(made, {"variants": {}, "partition": f"{run.logical_date:%Y-%m-%d}"}, at)
    left(session, run, receipt, board, key=BOARD_KEY)
    session.query(TaskInstance).filter_by(dag_id=run.dag_id, run_id=run.run_id).update(
        {"updated_at": at - dt.timedelta(seconds=60)}
    )
"""
AGAIN = (
    SUMMARISE
    + """
from ecs_feature.shards.names import shard_id
with create_session() as session:
    for dag_id in ("named", "mapped"):
        for run in session.query(DagRun).filter_by(dag_id=dag_id):
            session.delete(run)
"""
    + "\n".join(line for line in FILL.splitlines() if '"own"' not in line)
    + """
NAMES = ALL_NAMES
with create_session() as session:
    for run_id in ("first", "second"):
        run = run_of(session, "named", run_id)
        summarise(session, run, ["control", "treatment"],
                  lambda lane: [(name, f"{lane}.shards.{shard_id(name)}", -1) for name in NAMES])
    run = run_of(session, "mapped", "day")
    summarise(session, run, ["control"],
              lambda lane: [("acme", "control.shard", 0), ("acme-eu", "control.shard", 1)])
""".replace("ALL_NAMES", repr(["zeta", "acme", "acme-eu", *HOSTILE]))
)


WITHOUT_SUMMARIES = "with create_session() as session:\n    session.query(XComModel).filter_by(key='board').delete()\n"


@pytest.mark.parametrize("change", [*CHANGES, "nothing"])
def test_a_board_from_summaries_equals_the_rest_api_also_after_changes(world: World, change: str) -> None:
    world.program(AGAIN)
    if change == "nothing":
        world.program(WITHOUT_SUMMARIES)
        plain = check_cells(world, "named")
        world.program(AGAIN)
        summarised = check_cells(world, "named")
        for lane, cells in plain["cells"].items():
            for before, after in zip(cells, summarised["cells"][lane], strict=True):
                assert {**before, "changed": 0} == {**after, "changed": 0}
        assert check_cells(world, "mapped")["cells"]["control"][0]["states"] == "PR"
        return
    world.program(
        f'with create_session() as session:\n    run = run_of(session, "named", "first")\n    {CHANGES[change]}\n'
    )
    board = check_cells(world, "named")
    if change == "ran again":
        cells = board["cells"]["treatment"][0]
        # What was published is the file of before: that of this try is there, and not published yet.
        assert cells["tries"] == {"2": 2}
        assert cells["seconds"][2] == 13
    assert board["cells"]["control"][1]["states"] == "PPP" + "M" * 6


def test_a_shard_that_the_dag_lost_stays_in_the_older_runs(world: World) -> None:
    world.program(AGAIN)
    world.program(
        """
with create_session() as session:
    run = run_of(session, "named", "first")
    ti = task(session, run, "control.shards.zeta")
    session.query(XComModel).filter_by(run_id="first", task_id="control.shards.zeta").delete()
    session.query(XComModel).filter_by(run_id="first", key="board").delete()
    session.query(TaskInstance).filter_by(id=ti.id).update(
        {"task_id": "control.shards.gone", "_task_display_property_value": None}
    )
"""
    )
    board = check_cells(world, "named")
    assert board["shards"][-1] == "gone"
    assert board["gone"] == [len(board["shards"]) - 1]
    assert board["lanes"][0]["tasks"][-1] == "control.shards.gone"
    assert board["lanes"][1]["tasks"][-1] is None
    assert board["cells"]["control"][1]["states"][-1] == " "


def test_what_a_later_run_of_the_same_partition_published_makes_the_earlier_stale(world: World) -> None:
    world.program(AGAIN)
    world.program(
        """
with create_session() as session:
    run = create(session, "named", "late", 2, hour=3)
    left(session, run, "control.shards.acme", json.dumps(record("acme")))
    left(session, run, "control.publish", {"version": 2, "manifest_uri": "s3://b/m", "missing": [], "shards": ["acme"]})
"""
    )
    board = check_cells(world, "named")
    at = [run["run_id"] for run in board["runs"]].index("first")
    assert board["cells"]["control"][at]["states"][:3] == "PSP"
    assert board["cells"]["control"][at + 1]["states"][:3] == "SPS"
    assert world.get("cell", dag_id="named", run_id="late", task_id="control.shards.acme")["state"] == "P"
    one = world.get("cell", dag_id="named", run_id="first", task_id="control.shards.acme")
    assert one["state"] == "S"


def test_a_version_made_current_again_decides_what_is_stale(world: World) -> None:
    """Version 2 of the late run was taken back: what it published is there, and is not published any more."""
    world.program(AGAIN)
    world.program(
        """
OUT = "s3://b/out/variant=control/ds=2013-01-02/manifest/v=000"
with create_session() as session:
    first = run_of(session, "named", "first")
    left(session, first, "control.publish",
         {"version": 1, "manifest_uri": OUT + "1.json", "shards": ["acme", "acme-eu", "zeta"]})
    run = create(session, "named", "late", 2, hour=3)
    left(session, run, "control.shards.acme", json.dumps(record("acme")))
    left(session, run, "control.publish",
         {"version": 2, "manifest_uri": OUT + "2.json", "missing": [], "shards": ["acme"]})
    left(session, run, "treatment.publish", {"version": 2, "manifest_uri": OUT + "1.json", "shards": []})
    back = create(session, "ecs_feature_rollback", "back", 4)
    left(session, back, "make_current", {
        "manifest_uri": OUT + "1.json", "version": 1, "before": 2,
        "at": (dt.datetime.now(UTC) + dt.timedelta(seconds=1)).isoformat(),
    })
"""
    )
    try:
        board = check_cells(world, "named")
        at = [run["run_id"] for run in board["runs"]].index("first")
        assert board["cells"]["control"][at]["states"][:3] == "PPP"
        assert board["cells"]["control"][at + 1]["states"][:3] == "SSS"
        run = world.get("run", "admin", dag_id="named", run_id="late")
        assert [(each["version"], each["current"]) for each in run["versions"] if each["lane"] == "control"] == [
            (2, False),
            (1, True),
        ]
        assert run["make_current"] == {"available": True, "dag_id": "ecs_feature_rollback"}
        assert not world.get("run", "viewer", dag_id="named", run_id="late")["make_current"]["available"]
        uris = {
            (each["lane"], each["version"]): (each["manifest_uri"], each.get("refused")) for each in run["versions"]
        }
        assert uris["control", 1] == ("s3://b/out/variant=control/ds=2013-01-02/manifest/v=0001.json", None)
        uri, words = uris["treatment", 2]  # what somebody wrote there is of another variant
        assert uri is None
        assert "is not below s3://b/out/variant=treatment/ds={{ ds }}, where this pipeline publishes" in words
    finally:
        world.program(
            "with create_session() as session:\n    session.delete(run_of(session, 'ecs_feature_rollback', 'back'))\n"
        )


RIGHTS = """
from types import SimpleNamespace
from ecs_feature.ui import auth

CLEAR, START = ("PUT", "TASK_INSTANCE", "named"), ("POST", "RUN", "ecs_feature_rollback")
for rights in ((), (START,), (CLEAR,), (CLEAR, START)):
    def authorized(*, method, access_entity, details, user):
        return (method, access_entity.name, details.id) in rights
    auth.get_auth_manager = lambda: SimpleNamespace(is_authorized_dag=authorized)
    print(auth.may_make_current("named", "me"))
"""


def test_who_may_make_a_version_current_may_clear_the_pipelines_tasks_and_start_the_dag(world: World) -> None:
    assert world.program(RIGHTS)[-4:] == ["False", "False", "False", "True"]


def test_since_gives_the_runs_that_changed_and_the_rest_of_the_board(world: World) -> None:
    world.program(AGAIN)
    whole = world.get("board", dag_id="named")
    world.program(QUIET)
    nothing = world.get("board", dag_id="named", since=whole["at"])
    assert (nothing["partial"], nothing["runs"], nothing["shards"]) == (True, [], whole["shards"])
    world.program(
        "with create_session() as session:\n"
        "    task(session, run_of(session, 'named', 'second'), 'control.shards.zeta').state = 'failed'\n"
    )
    part = world.get("board", dag_id="named", since=whole["at"])
    assert [run["run_id"] for run in part["runs"]] == ["second"]
    assert part["cells"]["control"][0]["states"][0] == "F"


COPIED = """
from ecs_feature.ui.board import board

with create_session() as session:
    before = board(session, "named")
    kept = json.dumps(before)
    session.query(XComModel).filter_by(run_id="first", task_id="control.shards.zeta").delete()
    session.query(TaskInstance).filter_by(run_id="first", task_id="control.shards.zeta").update(
        {"task_id": "control.shards.gone", "_task_display_property_value": None, "updated_at": dt.datetime.now(UTC)}
    )
    after = board(session, "named", since=dt.datetime.fromisoformat(before["at"]))
    print(json.dumps([json.dumps(before) == kept, "gone" in before["shards"], "gone" in after["shards"]]))
    session.rollback()
"""


def test_an_answer_that_another_request_is_given_meanwhile_stays_as_it_is(world: World) -> None:
    """What is kept of a board's rows is added to by one request while another reads it."""
    world.program(AGAIN)
    world.program(WITHOUT_SUMMARIES)
    assert json.loads(world.program(COPIED)[-1]) == [True, False, True]


QUIET = """
with create_session() as session:
    session.query(DagRun).update({"updated_at": START})
    session.query(TaskInstance).update({"updated_at": START})
"""
LATE = """
with create_session() as session:
    first = run_of(session, "named", "first")
    left(session, first, "control.publish",
         {"version": 1, "manifest_uri": "s3://b/o/manifest/v=0001.json", "shards": ["acme", "acme-eu", "zeta"]})
    run = create(session, "named", "late", 2, hour=3)
    left(session, run, "control.shards.acme", json.dumps(record("acme")))
    left(session, run, "control.publish",
         {"version": 2, "manifest_uri": "s3://b/o/manifest/v=0002.json", "missing": [], "shards": ["acme"]})
"""
BACK = """
with create_session() as session:
    back = create(session, "ecs_feature_rollback", "back", 4)
    left(session, back, "make_current", {
        "manifest_uri": "s3://b/o/manifest/v=0001.json", "version": 1, "before": 2,
        "at": (dt.datetime.now(UTC) + dt.timedelta(seconds=1)).isoformat(),
    })
"""
PUBLISHED_AGAIN = """
with create_session() as session:
    run = run_of(session, "named", "first")
    left(session, run, "control.publish",
         {"version": 3, "manifest_uri": "s3://b/o/manifest/v=0003.json", "missing": [], "shards": ["acme"]})
    ti = task(session, run, "control.publish")
    ti.try_number = 2
"""


def test_since_gives_the_runs_whose_publication_a_roll_back_has_changed(world: World) -> None:
    world.program(AGAIN)
    world.program(LATE)
    world.program(QUIET)
    whole = world.get("board", dag_id="named")
    assert world.get("board", dag_id="named", since=whole["at"])["runs"] == []
    world.program(BACK)
    try:
        part = world.get("board", dag_id="named", since=whole["at"])
        assert [run["run_id"] for run in part["runs"]] == ["first", "late"]
        assert [cells["states"][:3] for cells in part["cells"]["control"]] == ["PPP", "SSS"]
    finally:
        world.program(
            "with create_session() as session:\n    session.delete(run_of(session, 'ecs_feature_rollback', 'back'))\n"
        )


def test_since_gives_the_runs_whose_publication_a_run_beyond_the_board_has_changed(world: World) -> None:
    """The board shows two runs; an earlier one of the same day, to the left of them, publishes again."""
    world.program(AGAIN)
    world.program(LATE)
    world.program(QUIET)
    whole = world.get("board", dag_id="named", runs=2)
    assert [run["run_id"] for run in whole["runs"]] == ["late", "second"]
    assert whole["cells"]["control"][0]["states"][1] == "P"
    assert world.get("board", dag_id="named", runs=2, since=whole["at"])["runs"] == []
    world.program(PUBLISHED_AGAIN)
    part = world.get("board", dag_id="named", runs=2, since=whole["at"])
    assert [run["run_id"] for run in part["runs"]] == ["late"]
    assert part["cells"]["control"][0]["states"][1] == "S"


def test_the_window_of_a_board_tells_that_a_run_was_deleted(world: World) -> None:
    world.program(AGAIN)
    whole = world.get("board", dag_id="named")
    assert world.get("board", dag_id="named", since=whole["at"])["window"] == whole["window"]
    world.program("with create_session() as session:\n    session.delete(run_of(session, 'named', 'first'))\n")
    part = world.get("board", dag_id="named", since=whole["at"])
    assert part["window"] != whole["window"]


COUNTED = """
from airflow import settings
from sqlalchemy import event
from ecs_feature.ui.overview import overview
from ecs_feature.ui.pipelines import pipelines_of_all

asked = []
event.listen(settings.engine, "after_cursor_execute", lambda *args: asked.append(args[2]))

def count(work):
    asked.clear()
    with create_session() as session:
        made = work(session)
    return len(asked), made

OURS = ["alone", "empty", "mapped", "named", "own"]
"""


def test_the_pipelines_of_many_dags_are_read_in_two_queries_and_then_asked_for_in_one(world: World) -> None:
    world.program(AGAIN)
    lines = world.program(
        COUNTED
        + """
first, made = count(lambda session: pipelines_of_all([*OURS, "foreign", "never"], session))
again, kept = count(lambda session: pipelines_of_all([*OURS, "foreign", "never"], session))
print(json.dumps([first, again, {dag_id: len(each.lanes) for dag_id, each in kept.items()}]))
"""
    )
    assert json.loads(lines[-1]) == [
        2, 1, {"alone": 1, "empty": 1, "mapped": 1, "named": 2, "own": 2, "foreign": 0, "never": 0}
    ]  # fmt: skip


def test_the_overview_of_many_pipelines_takes_as_many_queries_as_of_one(world: World) -> None:
    """Each has a run of this day; what each costs and how its last run's shards are is asked for of all at once."""
    world.program(AGAIN)
    lines = world.program(
        COUNTED
        + """
with create_session() as session:
    session.query(DagRun).update({"start_date": dt.datetime.now(UTC)})
    for run_id in ("first", "second"):  # two DAGs have runs of the same id
        left(session, run_of(session, "named", run_id), "receipt", {"variants": {"control": {"cost_usd": 0.5}}})
    for dag_id in ("alone", "empty"):
        run = create(session, dag_id, "first", 2)
        run.start_date = dt.datetime.now(UTC)
        left(session, run, "receipt", {"variants": {"": {"cost_usd": 0.25}}})
try:
    count(lambda session: overview(session, lambda ids: OURS))
    one, _ = count(lambda session: overview(session, lambda ids: ["named"]))
    all_, made = count(lambda session: overview(session, lambda ids: OURS))
finally:
    with create_session() as session:
        for dag_id in ("alone", "empty"):
            session.delete(run_of(session, dag_id, "first"))
shown = {line["dag_id"]: (line["month_usd"], line["last"] and line["last"]["ok"]) for line in made["pipelines"]}
print(json.dumps([one, all_, shown]))
"""
    )
    one, all_, shown = json.loads(lines[-1])
    assert all_ == one
    assert shown == {"alone": [0.25, 1], "empty": [0.25, 1], "mapped": [None, 2], "named": [1.0, 17], "own": [None, 4]}


def test_pages_of_runs_and_values_by_name(world: World) -> None:
    world.program(AGAIN)
    assert [run["run_id"] for run in world.get("board", dag_id="named", runs=1)["runs"]] == ["second"]
    assert [run["run_id"] for run in world.get("board", dag_id="named", before="second")["runs"]] == ["first"]
    cells = world.get("board", dag_id="named", values="seconds")["cells"]["control"][0]
    assert "seconds" in cells
    assert "micro_usd" not in cells
    assert json.dumps(world.get("board", dag_id="named", values=""))
