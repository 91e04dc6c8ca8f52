from __future__ import annotations

import json
import random

import pytest

from devstack.chaos import command, report
from devstack.chaos.campaign import Result, phases
from devstack.chaos.meddler import ACTIONS, meddling_plan
from devstack.chaos.plans import (
    chance,
    failing_tries,
    kill_plan,
    picks,
    rules,
    seed_that_strikes,
    sides_of,
    user_agent,
    working_seconds,
)
from devstack.chaos.scenarios import (
    KNOWN,
    LATER_SECONDS,
    RETRIES,
    SCENARIOS,
    SIDES,
    TRIGGERERS,
    Scenario,
)
from devstack.chaos.verdict import Verdict
from devstack.errors import UsageError
from fargate_local.faults import FaultRule

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
VERDICT = Verdict(
    runs=1, shards=12, launches=14, duplicates=0, lost=0, retries_consumed=0, shards_failed=0, runs_failed=0,
    left_running=0, services_left_up=0, unrecorded=0, application_failures=0, endings={"SpotInterruption": 2},
    problems=(),
)  # fmt: skip


def test_the_scenarios_are_those_of_the_bar() -> None:
    assert set(BY_NAME) == {
        "throttle_storm", "capacity_outage", "spot", "start_failures", "out_of_memory", "stuck_pending",
        "application_failures", "triggerer_kills", "scheduler_kill", "api_server_restart", "everything",
        "blindness", "meddler",
    }  # fmt: skip


@pytest.mark.parametrize("scenario", KNOWN, ids=lambda scenario: scenario.name)
def test_the_local_fargate_takes_every_rule_and_the_seed_decides_all(scenario: Scenario) -> None:
    for rule in rules(scenario, sides_of(scenario, SIDES), 7):
        FaultRule.from_json("fault-1", rule.body)
    assert rules(scenario, SIDES, 7) == rules(scenario, SIDES, 7)
    assert kill_plan(scenario, 7) == kill_plan(scenario, 7)
    assert failing_tries(scenario, 7) == failing_tries(scenario, 7)
    assert meddling_plan(scenario, 7) == meddling_plan(scenario, 7)


def test_both_sides_get_the_same_faults_in_their_own_clusters() -> None:
    ours, stock = rules(BY_NAME["spot"], SIDES, 7)
    assert (ours.body["match"]["cluster"], stock.body["match"]["cluster"]) == ("chaos-spot-ours", "chaos-spot-stock")
    assert {**ours.body, "match": {}} == {**stock.body, "match": {}}


def test_only_scenarios_that_run_alone_have_kills_or_faults_for_all() -> None:
    shared = [scenario for scenario in SCENARIOS if not scenario.alone]
    assert [scenario.name for scenario in shared if scenario.kills] == []
    assert [scenario.name for scenario in shared for fault in scenario.faults if fault.everywhere] == []
    faults, trust = ([each for each in shared if each.phase == phase] for phase in ("faults", "trust"))
    assert phases(SCENARIOS) == [faults, trust, *([scenario] for scenario in SCENARIOS if scenario.alone)]
    assert [scenario.name for scenario in trust] == ["blindness", "meddler"]
    assert phases([BY_NAME["everything"]]) == [[BY_NAME["everything"]]]


def test_the_blind_minute_strikes_all_calls_of_a_sides_own_connection_and_no_others() -> None:
    """What gets through its front meets one rule after the other, the last of which leaves nothing out."""
    scenario = BY_NAME["blindness"]
    found = rules(scenario, SIDES, 7)
    assert {rule.body["match"]["user_agent"] for rule in found} == {user_agent(scenario, side) for side in SIDES}
    for side in SIDES:
        mine = [rule for rule in found if rule.cluster == scenario.cluster(side)]
        begin = 14.0 + LATER_SECONDS[side]
        assert {(rule.after, rule.seconds) for rule in mine} == {(begin, begin + 60.0)}
        assert [mine[number].body["match"]["service_api"] for number in (0, 7, 8, 15)] == ["s3", "s3", "*", "*"]
        assert [round(1 / rule.body["probability"]) for rule in mine] == [*range(8, 0, -1)] * 2
        blindness = scenario.blindness
        assert blindness is not None
        assert [blindness.covers(side, begin + since) for since in (-0.1, 0.0, 59.9, 60.0)] == [
            False,
            True,
            True,
            False,
        ]
        assert not blindness.covers(side, None)


def test_shards_end_within_the_blind_minute_and_after_it_and_those_of_the_last_run_before() -> None:
    scenario = BY_NAME["blindness"]
    first, last = (working_seconds(scenario, 7, last_run=last) for last in (False, True))
    assert sorted(first.values()) == [45.0] * 4 + [110.0] * 4
    assert set(last.values()) == {8.0}
    assert set(working_seconds(BY_NAME["spot"], 7, last_run=True).values()) == {4.0}


@pytest.mark.parametrize("seed", range(1, 30))
def test_somebody_else_writes_in_every_way_and_only_while_shards_run(seed: int) -> None:
    scenario = BY_NAME["meddler"]
    plan = meddling_plan(scenario, seed)
    assert [each.at for each in plan] == sorted(each.at for each in plan)
    assert plan[0].at > 0
    assert plan[-1].at < scenario.seconds
    assert {each.action for each in plan} == set(ACTIONS)
    assert meddling_plan(BY_NAME["spot"], seed) == []


@pytest.mark.parametrize("seed", range(1, 30))
def test_kills_come_in_time_order_and_as_often_as_the_scenario_says(seed: int) -> None:
    plan = kill_plan(BY_NAME["everything"], seed)
    assert [kill.at for kill in plan] == sorted(kill.at for kill in plan)
    assert sum(kill.component in TRIGGERERS for kill in plan) == 3
    assert sorted(kill.component for kill in plan if kill.component not in TRIGGERERS) == ["api-server", "scheduler"]


@pytest.mark.parametrize("seed", range(1, 30))
def test_no_shard_is_made_to_fail_more_often_than_it_has_retries(seed: int) -> None:
    tries = failing_tries(BY_NAME["application_failures"], seed)
    shards = [attempt.split(":")[0] for attempt in tries]
    assert len(set(shards)) == 2  # 20 % of 10
    assert max(shards.count(shard) for shard in shards) == RETRIES


def test_a_share_strikes_at_least_one_shard_unless_it_is_nothing() -> None:
    scenario = BY_NAME["stuck_pending"]
    assert len(picks(scenario, 0.05, 7, "rule 0")) == 1
    assert len(picks(scenario, 0.5, 7, "rule 0")) == 5
    assert picks(scenario, 0.0, 7, "rule 0") == ()


def test_a_rule_by_chance_fires_within_the_first_launches() -> None:
    for number in range(50):
        seed = seed_that_strikes(chance(number, "x"), 0.1, 6)
        rule = random.Random(seed)
        assert any(rule.random() < 0.1 for _ in range(6))


def test_options_are_read_and_wrong_ones_are_refused_in_one_sentence() -> None:
    assert command.chosen("") == SCENARIOS
    assert [scenario.name for scenario in command.chosen("spot, capacity_outage")] == ["capacity_outage", "spot"]
    assert (command.chosen_sides(""), command.chosen_sides("stock")) == (("ours", "stock"), ("stock",))
    assert (command.number("7", "SEED", 10, 1), command.number("", "SEED", 10, 1)) == (7, 1)
    with pytest.raises(UsageError, match=r"^ONLY has 'sport', but the scenarios are capacity_outage, spot, "):
        command.chosen("sport")
    with pytest.raises(UsageError, match=r"^SIDES has 'theirs', but the sides are ours, stock\.$"):
        command.chosen_sides("theirs")
    for text in ("-1", "x", "11", "1.5"):
        with pytest.raises(UsageError, match=rf"^SEED is '{text}', but must be a whole number from 0 to 10\.$"):
            command.number(text, "SEED", 10, 1)


def test_the_command_of_a_report_makes_the_same_campaign_again() -> None:
    assert command.again(SCENARIOS, SIDES, 7, 0) == "make chaos SEED=7"
    some = command.again([BY_NAME["spot"]], ("ours",), 7, 2)
    assert some == "make chaos SEED=7 RUNS=2 ONLY=spot SIDES=ours"


def test_only_our_side_decides_whether_the_report_is_passed() -> None:
    good = report.row(Result(BY_NAME["spot"], "ours", 7, 61.24, VERDICT, {}, {}))
    bad = {**good, "side": "stock", "passed": False, "services_left_up": None}
    content = report.report([good, bad], seed=7, command="make chaos SEED=7", seconds=300.0)
    assert content["passed"] is True
    assert report.report([{**good, "passed": False}], seed=7, command="", seconds=1.0)["passed"] is False
    assert json.loads(json.dumps(content))["scenarios"][0] == good
    assert {"name", "runs", "shards", "launches", "duplicates", "lost", "retries_consumed", "left_running",
            "services_left_up", "passed", "side", "seed", "seconds", "done",
            "longest_shortage_seconds"} <= set(good)  # fmt: skip


def test_the_table_fits_a_narrow_terminal_and_marks_what_is_not_passed() -> None:
    row = report.row(Result(BY_NAME["application_failures"], "stock", 7, 161.24, VERDICT, {}, {}))
    lines = report.table([row, {**row, "passed": False, "services_left_up": None, "lost": 3}]).plain.splitlines()
    assert [len(line) for line in lines] == [77, 77, 79]
    assert lines[1] == "application_failures stock     12    14     0    0       0      0    0  0 161"
    assert lines[2] == "application_failures stock     12    14     0    3       0      0    0  - 161 !"


def test_the_published_table_has_both_sides_of_a_scenario_in_one_row() -> None:
    ours = report.row(Result(BY_NAME["spot"], "ours", 7, 61.24, VERDICT, {}, {}))
    stock = {**ours, "side": "stock", "services_left_up": None, "launches": 20, "duplicates": 1}
    alone = {**ours, "name": "start_failures"}
    text = report.markdown(report.report([ours, stock, alone], seed=7, command="make chaos SEED=7", seconds=600.0))
    assert text.startswith("`make chaos SEED=7`, ")
    assert text.splitlines()[-2:] == [
        "| spot | 12 | 14 / 20 | 0 / 1 | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 0 / – |",
        "| start failures | 12 | 14 / – | 0 / – | 0 / – | 0 / – | 0 / – | 0 / – | 0 / – |",
    ]
