"""What a shard may be called, and its id."""

from __future__ import annotations

import json
import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions._internal.node import validate_key
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError, SelectionError
from ecs_feature.pipeline import FeaturePipeline
from ecs_feature.shards.names import MAX_CHARACTERS, PLAIN, fault_among, fault_of, shard_id
from ecs_feature.shards.selection import names_in, of_this_run, select
from ecs_feature.shards.sources import checked, listed
from ecs_feature.tasks.launch import fill_shard
from ecs_feature.triggers.shard import ShardTrigger, is_selected

READ_AS_TEXT = "readers make NaN of NA and False of NO, so read names as text"
HOSTILE = (
    "New York", "NewYork", "v1.2", "São Paulo", "a/b", "Δοκιμή", "東京", "🙂 emoji", "عربي", '"quoted"', "{{ 7 * 7 }}",
    "x" * 200, "{shard_id}", "../../etc", "<img src=x onerror=alert(1)>", "NY", "NY ", "-", "$NAME", "a,b", "%s",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("UA", "UA"), ("acme-09", "acme-09"), ("a_b", "a_b"),
        ("New York", "New-York-"), ("v1.2", "v1-2-"), ("São Paulo", "Sao-Paulo-"), ("a/b", "a-b-"), ("東京", "shard-"),
        ("x" * 101, "x" * 60 + "-"),
    ],
)  # fmt: skip
def test_an_id_is_the_name_or_what_is_left_of_it_and_a_digest(name: str, id_: str) -> None:
    assert shard_id(name).startswith(id_)
    assert len(shard_id(name)) == len(id_) + (8 if id_.endswith("-") else 0)


def test_an_id_never_changes() -> None:
    assert shard_id("São Paulo") == "Sao-Paulo-f00fd81d"


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=1, max_size=MAX_CHARACTERS))
def test_an_id_can_be_a_task_and_a_folder(name: str) -> None:
    if fault_of(name):
        return
    assert PLAIN.fullmatch(shard_id(name))
    validate_key(f"features.control.shards.{shard_id(name)}")


def test_hostile_names_are_names_with_ids_of_their_own() -> None:
    assert [fault_of(name) for name in HOSTILE] == [""] * len(HOSTILE)
    assert fault_among(HOSTILE) == ""
    assert len({shard_id(name) for name in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize(
    ("shards", "sentence"),
    [
        (("AO", float("nan")), f"shards: nan is of type float, and a name is text; {READ_AS_TEXT}."),
        (("SE", False), f"shards: False is of type bool, and a name is text; {READ_AS_TEXT}."),
        ((1, 2), "shards: 1 is of type int, and a name is text; write '1'."),
        (("a", None), "shards: None is of type NoneType, and a name is text; write names."),
        (("a", b"b"), "shards: b'b' is of type bytes, and a name is text; write names."),
        (("a", ["b"]), "shards: ['b'] is of type list, and a name is text; write names."),
        ((x for x in "ab"), "is of type generator; give a list of names, a callable that returns one, or a listing"),
        ({"a", "b"}, "is of type set; give a list of names"),
        ({"a": 1}, "is of type dict; give a list of names"),
        (range(3), "shards: range(0, 3) is of type range; give a list of names"),
        (3, "shards: 3 is of type int; give a list of names"),
        (None, "shards: None is of type NoneType; give a list of names"),
        ((), "shards: none are given; give at least one."),
        ("NY", "shards: 'NY' is one text; give a list of names, ['NY']"),
        (("a", ""), "shards: '' has no character that one can see; give it a name."),
        (("a", " \u3000"), "has no character that one can see"),
        (("x" * 201,), "has 201 characters, and at most 200 are possible; shorten it."),
        (("a\nb",), "has the control character '\\n'; leave it out."),
        (("a\u2028b",), "has the control character '\\u2028'; leave it out."),
        (("a\x00",), "has the control character '\\x00'; leave it out."),
        (("xcom://a",), "begins with xcom://, which stands for another task's value"),
        (("a", "b", "a"), "shards: a stands there more than once; remove the copies."),
        (("é", unicodedata.normalize("NFD", "é")), "look the same (their Unicode forms differ); rename one of them."),
        (("a b", shard_id("a b")), "'a b' and 'a-b-c8687a08' have the same id; rename one of them."),
    ],
)
def test_what_is_no_name_is_told_in_one_sentence(shards: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        pipeline(shards=shards).dag()
    assert sentence in str(error.value)


@pytest.mark.parametrize("found", [[float("nan")], ["a", None], [["a"]], [1], {"a": 1}.values()])
def test_what_a_callable_returns_is_checked_in_the_same_way(found: Any) -> None:
    with pytest.raises(SelectionError, match=r"shards: mine has .* is of type .*, and a name is text"):
        checked(found, "mine")


def test_a_mapping_is_no_list_of_names() -> None:
    with pytest.raises(SelectionError, match=r"shards: mine gives \{'a': 1\}, which is no list"):
        checked({"a": 1}, "mine")


def test_a_callable_may_be_a_generator_and_say_a_name_twice() -> None:
    assert checked((each for each in ("b", "a b", "b")), "mine") == ["b", "a b"]


def test_a_name_is_no_template_and_fills_the_places_of_its_name_and_id() -> None:
    assert fill_shard({"a": ["{shard}/{shard_id}", 1]}, "{shard_id}", "x-1") == {"a": ["{shard_id}/x-1", 1]}
    trigger = ShardTrigger(shard="{{ 7 * 7 }}", launch={"a": "{{ 7 * 7 }}"}, record={})
    trigger.render_template_fields({"params": {}})
    assert (trigger.shard, trigger.launch) == ("{{ 7 * 7 }}", {"a": "49"})


def test_a_log_is_followed_by_a_name_with_blanks_at_its_ends() -> None:
    trigger = ShardTrigger(shard="NY ", launch={}, padded=["NY "])
    trigger.render_template_fields({"params": {"live_log_shards": ["NY ", " UA"]}})
    assert trigger.live_log_shards == ["NY ", "UA"]


def test_files_of_plain_names_stay_where_they_were_and_others_have_the_id() -> None:
    dag = pipeline(shards=("UA", "a/b")).dag()
    assert {task for task in dag.task_ids if ".shards." in task} == {
        "control.shards.UA",
        f"control.shards.{shard_id('a/b')}",
    }
    assert dag.get_task(f"control.shards.{shard_id('a/b')}").task_display_name == "a/b"
    launch = next(iter(dag.default_args.values()))["control"]["launch"]
    assert "/shard={shard_id}/" in launch["environment"]["OUTPUT_URI"]
    assert launch["environment"]["SHARD"] == "{shard}"


def test_blanks_at_the_ends_are_the_users_unless_the_name_has_them() -> None:
    known = ("NY", "NY ", "CA")
    assert names_in([" CA ", "NY ", "", "  "], known) == ["CA", "NY "]
    assert select({"shards": ["NY ", " CA"]}, shards=known, variants=()).shards == ("NY ", "CA")
    assert [shard for shard in known if is_selected(shard, json.dumps(["NY "]), ["NY "])] == ["NY "]
    assert [shard for shard in known if is_selected(shard, json.dumps(["NY", " CA "]), ["NY "])] == ["NY", "CA"]
    records = [{"shard": name} for name in known]
    assert [each["shard"] for each in of_this_run(records, {"shards": ["NY "]})] == ["NY "]


def test_only_names_with_blanks_at_their_ends_are_told_to_the_trigger() -> None:
    def shared(shards: tuple[str, ...]) -> Any:
        return next(iter(pipeline(shards=shards).dag().default_args.values()))["control"]

    assert "padded" not in shared(("NY", "New York"))
    assert shared(("NY", "NY "))["padded"] == ["NY "]


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("s3://b/raw/*/", ["a b", "v1.2"]),
        ("s3://b/raw/_*/", ["SUCCESS", "temporary"]),
        ("s3://b/raw/.*/", ["cache"]),
        ("s3://b/*/", ["raw"]),
    ],
)
def test_hidden_folders_are_no_shards_unless_they_are_asked_for(uri: str, names: list[str]) -> None:
    folders = ["raw/_SUCCESS/", "raw/_temporary/", "raw/.cache/", "raw/a b/", "raw/v1.2/", "raw/", "_x/"]

    def paginate(Bucket: str, Prefix: str, Delimiter: str) -> list[dict[str, Any]]:
        depth = Prefix.count("/") + 1
        return [
            {
                "CommonPrefixes": [
                    {"Prefix": each} for each in folders if each.startswith(Prefix) and each.count("/") == depth
                ]
            }
        ]

    s3 = SimpleNamespace(get_paginator=lambda operation: SimpleNamespace(paginate=paginate))
    assert listed(s3, uri) == names


def test_a_pipeline_of_hostile_names_is_a_dag() -> None:
    assert isinstance(pipeline(shards=HOSTILE), FeaturePipeline)
    assert len([task for task in pipeline(shards=HOSTILE).dag().task_ids if ".shards." in task]) == len(HOSTILE)
