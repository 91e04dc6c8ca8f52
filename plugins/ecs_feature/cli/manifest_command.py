"""``airflow ecs-feature manifest``: what has been published, what has changed, and the way back."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.errors import translated
from ecs_feature.estimates.facts import dag_of, shard_tasks
from ecs_feature.exceptions import EcsFeatureError, PublishError, SelectionError
from ecs_feature.fleet.fleet import FleetKey
from ecs_feature.results.manifests import ManifestStore

_PUBLISH: Final = "FeaturePublishOperator"
_KEY: Final = re.compile(r"{{ (?:ds|partition) }}")
_SHOWN: Final = (
    "partition",
    "variant",
    "dag_id",
    "run_id",
    "published_at",
    "task_definition",
    "code_version",
    "bundle_version",
    "rows",
    "files",
    "bytes",
)
_NAMED: Final = 20
"""How many shards a line names."""


@suppress_logs_and_warning
@providers_configuration_loaded
def manifest(args: Namespace) -> None:
    """Do it; exit with one sentence when that is not possible. A way back is in Airflow's audit log."""
    if args.action == "rollback":
        args.dag_id = None if args.target.startswith("s3://") else args.target  # under which the audit log has it
        manifest_rollback(args)
    else:
        _do(args)


@action_cli(check_db=False)
def manifest_rollback(args: Namespace) -> None:
    """The audit log has it as ``cli_manifest_rollback``, with who did it and the whole command."""
    _do(args)


def _do(args: Namespace) -> None:
    try:
        store = _store(args)
        with translated(store.prefix):
            print(_answer(store, args))  # noqa: T201
    except EcsFeatureError as error:
        raise SystemExit(str(error)) from None


def _answer(store: ManifestStore, args: Namespace) -> str:
    if args.action == "rollback":
        published = store.roll_back(args.version)
        return f"{store.prefix} is at version {published.manifest['version']}: {published.uri}"
    current = store.current()
    if current is None:
        raise PublishError(f"{store.prefix}: nothing has been published there.")
    content = current if args.version is None else store.version(args.version)
    if args.action == "show":
        if args.output == "json":
            return json.dumps(content, indent=1)
        return "\n".join(shown(content, current["version"], store.versions()))
    other = args.against if args.against is not None else content["previous"]
    changed = changes(store.version(other) if other is not None else None, content)
    return json.dumps(changed, indent=1) if args.output == "json" else "\n".join(told(changed))


def shown(content: Mapping[str, Any], current: int, versions: Sequence[int]) -> list[str]:
    """A version, for people."""
    number = content["version"]
    which = "the current one" if number == current else f"the current one is {current}"
    lines = [f"version {number} ({which}) of {', '.join(map(str, versions))}"]
    lines += [f"{name}: {content[name]}" for name in _SHOWN if content.get(name) not in (None, "")]
    lines.append(f"shards: {len(content['shards'])}" + _names(content["shards"]))
    for name in ("missing", "skipped"):
        if content.get(name):
            lines.append(f"{name}: {len(content[name])}{_names(content[name])}")
    digests: dict[str, list[str]] = {}
    for name, shard in content["shards"].items():
        what = f"{shard.get('image_digest', '')} {shard.get('task_definition', '')}".strip()
        digests.setdefault(what, []).append(name)
    lines += [f"image: {digest}, {len(names)} shards{_names(names)}" for digest, names in digests.items() if digest]
    return lines


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """What differs between two versions; ``before`` is None for the first one."""
    old: Mapping[str, Any] = before["shards"] if before else {}
    new: Mapping[str, Any] = after["shards"]
    both = [name for name in new if name in old and new[name]["files"] != old[name]["files"]]
    return {
        "from": before["version"] if before else None,
        "to": after["version"],
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": {name: {"rows": [old[name]["rows"], new[name]["rows"]]} for name in both},
        **{
            name: [(before or {}).get(name), after.get(name)]
            for name in ("rows", "files", "bytes", "task_definition", "code_version", "bundle_version")
            if (before or {}).get(name) != after.get(name)
        },
    }


def told(changed: Mapping[str, Any]) -> list[str]:
    """:func:`changes` for people."""
    lines = [f"from version {changed['from'] or 'none'} to {changed['to']}"]
    lines += [f"{what}: {len(changed[what])}{_names(changed[what])}" for what in ("added", "removed") if changed[what]]
    lines += [f"{name}: {rows['rows'][0]} to {rows['rows'][1]} rows" for name, rows in changed["changed"].items()]
    lines += [f"{name}: {value[0]} to {value[1]}" for name, value in changed.items() if isinstance(value, list) and
              name not in ("added", "removed")]  # fmt: skip
    return lines if len(lines) > 1 else [*lines, "nothing has changed"]


def _names(names: Any) -> str:
    some = list(names)[:_NAMED]
    return f" ({', '.join(some)}{', ...' if len(names) > _NAMED else ''})" if some else ""


def _store(args: Namespace) -> ManifestStore:
    if args.target.startswith("s3://"):
        prefix = args.target.rstrip("/").removesuffix("/current.json").removesuffix("/manifest")
        return ManifestStore(AwsConnection(args.aws_conn_id or None, args.region).client("s3"), prefix)
    dag = dag_of(args.target)
    found = {task.task_id.rpartition(".")[0]: task for task in dag.task_dict.values() if task.task_type == _PUBLISH}
    if not found:
        raise SelectionError(f"DAG {args.target!r} publishes nothing; give the prefix of a manifest, s3://bucket/....")
    prefix = _prefix(args, found)
    aws = FleetKey(**shard_tasks(dag)[0][1]["aws"])
    return ManifestStore(AwsConnection(aws.aws_conn_id, aws.region_name, aws.verify).client("s3"), prefix)


def _prefix(args: Namespace, found: Mapping[str, Any]) -> str:
    """The prefix of one variant's partition.

    :raises SelectionError: when the arguments do not name one.
    """
    variant = args.variant if args.variant is not None else next(iter(found)) if len(found) == 1 else None
    if variant is None or variant not in found:
        names = ", ".join(filter(None, found))
        hint = f"choose from {names}" if names else "the DAG has none, leave it out"
        raise SelectionError(f"--variant: {args.variant!r} is not one; {hint}.")
    if not args.partition:
        raise SelectionError("--partition: none is given; give the key of one, e.g. --partition 2026-03-28.")
    prefix = _KEY.sub(lambda _: args.partition, found[variant].prefix)
    if "{{" in prefix:
        raise SelectionError(f"{args.target}: {prefix} has other templates; give the prefix itself, s3://bucket/....")
    return prefix
