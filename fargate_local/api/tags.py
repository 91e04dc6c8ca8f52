"""Tags: AWS's rules, and TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

import re
from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context
from fargate_local.errors import ApiError, invalid
from fargate_local.resources import Cluster
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
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag keys that start with aws: are reserved for AWS: {key!r}")
    for key in request["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags_for_resource(ecs: Context, request: JsonObject) -> JsonObject:
    return {"tags": tags_to_aws(_tags_of(ecs, request["resourceArn"]))}


KINDS = ("capacity-provider", "cluster", "container-instance", "service", "task", "task-definition")
IN_CLUSTER = ("container-instance", "service", "task")


def _tags_of(ecs: Context, arn: str) -> Tags:
    """The live tags of a resource that can have tags: AmazonECS/latest/APIReference/API_TagResource.

    :raises ApiError: InvalidParameterException, the ARN is none, or of another account or Region, or a short one;
        ResourceNotFoundException or ClusterNotFoundException.
    """
    prefix, _, resource = arn.partition(":ecs:")[2].rpartition(":")
    kind, _, name = resource.partition("/")
    if not arn.startswith("arn:aws:ecs:") or kind not in KINDS or not name:
        return _definition_tags(ecs, arn)
    if prefix != f"{ecs.settings.region}:{ecs.settings.account_id}":
        raise invalid(f"The specified resource ARN is of another account or Region: {arn}")
    if kind == "capacity-provider":
        provider = ecs.state.capacity_providers.get(name)
        if provider is None:
            raise _missing()
        return provider.tags
    if kind == "cluster":
        return ecs.cluster(arn).tags
    if kind in IN_CLUSTER and "/" not in name:
        raise invalid("Long arn format must be used for tagging operations")
    return _tags_in_cluster(ecs, kind, ecs.cluster(name.partition("/")[0]), arn)


def _tags_in_cluster(ecs: Context, kind: str, cluster: Cluster, arn: str) -> Tags:
    if kind == "service":
        service = cluster.services.get(arn.rpartition("/")[2])
        if service is None or service.arn != arn or service.status == "INACTIVE":
            raise _missing()
        return service.tags
    found = ecs.task(cluster, arn) if kind == "task" else ecs.instance(cluster, arn)
    if found is None:
        raise _missing()
    return found.tags


def _definition_tags(ecs: Context, arn: str) -> Tags:
    """The tags of a task definition, whose ARN ends with `:revision`."""
    if not re.fullmatch(r"arn:aws:ecs:[^:]*:[^:]*:task-definition/[^:/]+:[0-9]+", arn):
        raise invalid(f"The specified resource ARN is not valid: {arn}")
    if not arn.startswith(ecs.arn("task-definition/")):
        raise invalid(f"The specified resource ARN is of another account or Region: {arn}")
    try:
        return ecs.definition(arn).tags
    except ApiError:
        raise _missing() from None


def _missing() -> ApiError:
    return ApiError("ResourceNotFoundException", "The specified resource was not found.")


OPERATIONS: dict[str, Any] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}
