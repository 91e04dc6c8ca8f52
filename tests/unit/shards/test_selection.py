"""Which shards and variants a run computes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.exceptions import SelectionError
from ecs_feature.operators.find_shards import FindShardsOperator
from ecs_feature.shards.selection import ALL_FOUND, Selection, check_keys, names_in, of_this_run, select

KNOWN = {"shards": ("AA", "DL", "UA"), "variants": ("control", "treatment")}


def test_nothing_chosen_means_all_and_the_pipelines_order_is_kept() -> None:
    assert select({"shards": [], "variants": None}, **KNOWN) == Selection(KNOWN["shards"], KNOWN["variants"])
    assert select({"shards": ["UA", "AA"], "variants": ["treatment"]}, **KNOWN) == Selection(
        ("AA", "UA"), ("treatment",)
    )


def test_blanks_and_empty_lines_of_the_trigger_form_are_no_names() -> None:
    chosen = select({"shards": ["UA ", "", " "], "live_log_shards": ["AA", ""]}, **KNOWN)
    assert chosen == Selection(("UA",), KNOWN["variants"])
    assert select({"shards": [""]}, **KNOWN).shards == KNOWN["shards"]
    assert names_in(None) == names_in([]) == []


@pytest.mark.parametrize("param", ["live_log_shards", "debug_shards"])
def test_a_param_that_names_a_shard_that_there_is_not_is_refused(param: str) -> None:
    with pytest.raises(SelectionError, match=rf"^{param}: 'ZZ' is not among the pipeline's 3 shards"):
        select({param: ["ZZ"]}, **KNOWN)


RECORDS = [{"shard": name, "index": index} for index, name in enumerate(("AA", "UA", "DL", "UA"))]


@pytest.mark.parametrize(
    ("params", "found", "left"),
    [
        ({}, None, [0, 1, 2]),
        ({"shards": ["UA", ""]}, None, [1]),
        ({"shards": []}, ["AA", "UA"], [0, 1]),  # the run was done again, and found fewer than before
        ({"shards": ["DL"]}, ["DL"], [2]),
        ({}, [], []),
    ],
)
def test_a_run_publishes_the_shards_that_it_has_found(
    params: dict[str, Any], found: list[str] | None, left: list[int]
) -> None:
    assert [record["index"] for record in of_this_run(RECORDS, params, found)] == left


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"shards": ["ZZ"]}, "shards: 'ZZ' is not among the pipeline's 3 shards; choose from AA, DL, UA."),
        ({"variants": ["x", "y"]}, "variants: 'x', 'y' are not among the pipeline's 2 variants"),
        ({"shards": "UA"}, "shards: 'UA' is not a list"),
    ],
)
def test_an_unknown_choice_is_refused_in_one_sentence(params: dict[str, Any], said: str) -> None:
    with pytest.raises(SelectionError) as refused:
        select(params, **KNOWN)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "chosen", "left"),
    [([], ["AA", "UA"], {}), (["UA"], ["UA"], {ALL_FOUND: ["AA", "UA"]}), (["UA", "AA"], ["AA", "UA"], {})],
)
def test_a_run_that_is_restricted_leaves_word_of_all_that_it_has_found(
    asked: list[str], chosen: list[str], left: dict[str, Any]
) -> None:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.__setitem__(key, value))
    operator = FindShardsOperator(task_id="find_shards", function=lambda **_: ["AA", "UA"])
    assert operator.execute({"params": {"shards": asked}, "ti": ti}) == chosen
    assert pushed == left


PARAMS = ("shards", "variants", "live_log_shards", "mine")


@pytest.mark.parametrize(
    ("conf", "known", "prefix", "refused"),
    [
        ({}, PARAMS, "", ""),
        ({"shards": ["a"], "mine": 2}, PARAMS, "", ""),
        ({"shard": ["a"]}, PARAMS, "", "conf: 'shard' is not a param of this DAG; did you mean shards?"),
        ({"Shards": ["a"]}, PARAMS, "", "did you mean shards?"),
        ({"state": "NY"}, PARAMS, "", "'state' is not a param of this DAG; choose from live_log_shards, mine, shards"),
        ({"x_shards": ["a"]}, ("x_shards", "x_live_log_shards", "mine"), "x_", ""),
        ({"x_shard": ["a"]}, ("x_shards", "x_live_log_shards", "mine"), "x_", "did you mean x_shards?"),
        ({"states_shard": []}, ("states_debug_shards", "states_shards"), "states_", "did you mean states_shards?"),
        ({"shards": ["a"]}, ("x_shards", "x_live_log_shards", "mine"), "x_", "did you mean x_shards?"),
        ({"state": "NY", "min": 1}, ("x_shards", "x_live_log_shards", "mine"), "x_", ""),
    ],
)
def test_a_key_that_nobody_reads_would_run_everything(
    conf: dict[str, Any], known: tuple[str, ...], prefix: str, refused: str
) -> None:
    if not refused:
        check_keys(conf, known, prefix)
        return
    with pytest.raises(SelectionError) as error:
        check_keys(conf, known, prefix)
    assert refused in str(error.value)
