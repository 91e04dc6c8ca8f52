"""Where what is published comes from: its code, its images and the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

CODE_VERSION: Final = "code_version"
"""Key of the XCom, beside the task definition's ARN, with the version that the file's tags name."""
CODE_VERSION_TAGS: Final = ("code-version", "git-sha", "git-commit", "version")
"""The tags of a task definition file that name the version of the code, the first of them that is there."""


def code_version(definition: Mapping[str, Any]) -> str | None:
    """The version of the code, from the tags of a task definition as RegisterTaskDefinition takes it."""
    tags = {str(tag.get("key", "")).lower(): tag.get("value") for tag in definition.get("tags", ())}
    return next((str(tags[name]) for name in CODE_VERSION_TAGS if tags.get(name)), None)


def of_run(ti: Any, *, task_definition: Any = None, code_version: Any = None) -> dict[str, Any]:
    """What a manifest says of the run that published it; only what is known.

    :param ti: the publish's task instance; it knows the version of the DAG's bundle, where bundles have versions.
    :param task_definition: ARN of the revision.
    """
    bundle = getattr(getattr(ti, "bundle_instance", None), "version", None)
    known = {"task_definition": task_definition, CODE_VERSION: code_version, "bundle_version": bundle}
    return {name: str(value) for name, value in known.items() if value}


def with_images(
    shards: Mapping[str, Mapping[str, Any]], records: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The shards with what their last launch ran, as far as ECS has said: ``image_digest`` and ``task_definition``.

    :param records: of the shards' XComs; those of earlier versions of this package do not have it.
    """
    found = {record["shard"]: record["launches"][-1] for record in records if record.get("launches")}
    return {
        name: {
            **shard,
            **{key: found[name][key] for key in ("image_digest", "task_definition") if found.get(name, {}).get(key)},
        }
        for name, shard in shards.items()
    }
