"""Parts of requests and answers in the API's own shape."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

JsonObject = dict[str, Any]
Tags = dict[str, str]


def tags_to_aws(tags: Tags) -> list[JsonObject]:
    """Tags as a list of key and value."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def without_none(members: JsonObject) -> JsonObject:
    """The members that are set: AWS leaves the others out."""
    return {name: value for name, value in members.items() if value is not None}


class Shown(dict[str, Any]):
    """An answer's part that is shown again and again.

    :ivar checked: whether it was held to botocore's model.
    """

    checked = False

    @cached_property
    def text(self) -> str:
        """It as JSON."""
        return json.dumps(self)
