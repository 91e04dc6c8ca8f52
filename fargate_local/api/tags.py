"""Tags: AWS's rules, and TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context
from fargate_local.errors import ApiError, invalid
from fargate_local.shapes import JsonObject, Tags, tags_to_aws


def checked_tags(tags: list[dict[str, str]] | None) -> Tags:
    """The tags of a request, by key.

    :raises ApiError: InvalidParameterException, as one breaks a rule of API_Tag.
    """
    checked: Tags = {}
    for tag in tags or []:
        key, value = tag.get("key", ""), tag.get("value", "")
        _check_tag(key, value)
        if key in checked:
            raise invalid(f"Duplicate tag keys are not allowed: {key}")
        checked[key] = value
    check_number(checked)
    return checked


def check_number(tags: Tags) -> None:
    """A resource has at most 50 tags; AWS's own (`aws:`) do not count.

    :raises ApiError: InvalidParameterException.
    """
    own = sum(1 for key in tags if not key.startswith("aws:"))
    if own > limits.MAX_TAGS:
        raise invalid(f"Tags can not have more than {limits.MAX_TAGS} elements; this resource would have {own}.")


def _check_tag(key: str, value: str) -> None:
    if not 1 <= len(key) <= limits.MAX_TAG_KEY_CHARACTERS:
        raise invalid(f"Tag key must be between 1 and {limits.MAX_TAG_KEY_CHARACTERS} characters: {key!r}")
    if len(value) > limits.MAX_TAG_VALUE_CHARACTERS:
        raise invalid(f"Tag value of {key!r} exceeds {limits.MAX_TAG_VALUE_CHARACTERS} characters.")
    if key.lower().startswith("aws:"):
        raise invalid(f"Tag keys that start with aws: are reserved for AWS: {key!r}")
    for text in (key, value):
        if not limits.TAG_CHARACTERS.fullmatch(text):
            raise invalid(f"Tag {text!r} has a character other than letters, digits, spaces and + - = . _ : / @")


def tag_resource(ecs: Context, request: JsonObject) -> JsonObject:
    tags = _tags_of(ecs, request["resourceArn"])
    added = checked_tags(request["tags"])
    check_number(tags | added)
    tags.update(added)
    return {}


def untag_resource(ecs: Context, request: JsonObject) -> JsonObject:
    tags = _tags_of(ecs, request["resourceArn"])
    for key in request["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags_for_resource(ecs: Context, request: JsonObject) -> JsonObject:
    return {"tags": tags_to_aws(_tags_of(ecs, request["resourceArn"]))}


def _tags_of(ecs: Context, arn: str) -> Tags:
    """The live tags of a cluster, service, task or task definition."""
    kind, _, rest = arn.split(":", 5)[-1].partition("/") if arn.startswith("arn:") else ("", "", "")
    if kind not in {"cluster", "service", "task", "task-definition"}:
        raise invalid(f"The specified resource ARN is not valid: {arn}")
    missing = ApiError("ResourceNotFoundException", "The specified resource was not found.")
    if kind == "task-definition":
        try:
            return ecs.definition(arn).tags
        except ApiError:
            raise missing from None
    cluster = ecs.cluster(rest.partition("/")[0])
    if kind == "cluster":
        return cluster.tags
    if kind == "service":
        service = cluster.services.get(rest.rpartition("/")[2])
        if service is None or service.status == "INACTIVE":
            raise missing
        return service.tags
    task = ecs.task(cluster, arn)
    if task is None:
        raise missing
    return task.tags


OPERATIONS: dict[str, Any] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}
