"""Shards that are found at run time."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.exceptions import ConfigurationError, SelectionError
from ecs_feature.shards.sources import check_listing, checked, is_listing, listed
from ecs_feature.tasks.launch import fill_shard


class S3:
    """Two pages of folders."""

    def get_paginator(self, name: str) -> Any:
        assert name == "list_objects_v2"
        return self

    def paginate(self, **request: str) -> Any:
        assert request == {"Bucket": "b", "Prefix": "raw/ds=2013-01-01/carrier=", "Delimiter": "/"}
        folder = request["Prefix"]
        yield {"CommonPrefixes": [{"Prefix": f"{folder}UA/"}, {"Prefix": f"{folder}AA/"}]}
        yield {}


def test_a_listing_yields_the_names_in_place_of_the_star() -> None:
    assert listed(S3(), "s3://b/raw/ds=2013-01-01/carrier=*/") == ["AA", "UA"]


@pytest.mark.parametrize("uri", ["s3://b/raw/", "s3://b/*/x/", "s3://b/*/*/", "s3://b/carrier=*"])
def test_a_listing_has_one_star_in_its_last_folder(uri: str) -> None:
    assert is_listing(uri)
    with pytest.raises(ConfigurationError, match="is not a listing"):
        check_listing(uri)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "has none for this run"),
        (["a", " "], "' ', which has no character that one can see"),
        ([f"S{i}" for i in range(5001)], "has 5001"),
        ("UA", "gives 'UA', which is no list of names; return a list"),
        (None, "gives None, which is no list of names"),
    ],
    ids=["none", "no name", "too many", "one text", "nothing returned"],
)
def test_what_is_found_must_be_names(found: Any, said: str) -> None:
    with pytest.raises(SelectionError, match=said):
        checked(found, "the listing")


def test_names_found_twice_count_once_and_keep_their_order() -> None:
    assert checked(["UA", "AA", "UA"], "x") == ["UA", "AA"]


def test_the_shard_is_filled_in_everywhere_and_templates_are_left_alone() -> None:
    value = {"a": "{shard}", "b": ["x={shard}", 1], "c": {"d": "{{ ds }}"}}
    assert fill_shard(value, "UA", "UA") == {"a": "UA", "b": ["x=UA", 1], "c": {"d": "{{ ds }}"}}
