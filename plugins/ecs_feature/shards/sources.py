"""Sources of shards that the DAG file does not name: a callable, or an S3 listing."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ecs_feature.aws.s3 import split_uri
from ecs_feature.exceptions import ConfigurationError, SelectionError
from ecs_feature.shards.names import fault_among, fault_of

MAX_SHARDS: Final = 5000
"""Per run. Airflow's own limit, [core] max_map_length, is 1,024 by default."""


_HIDDEN: Final = ("_", ".")


def called(function: Callable[..., Any], *, partition: str, **arguments: Any) -> Any:
    """What a callable of the user's returns; it is given ``partition=`` when its signature names it."""
    try:
        takes = "partition" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin has none
        takes = False
    return function(**arguments, **({"partition": partition} if takes else {}))


def is_listing(shards: object) -> bool:
    """Whether the pipeline's ``shards`` is an S3 prefix listing, ``s3://bucket/raw/ds={{ ds }}/carrier=*/``."""
    return isinstance(shards, str) and shards.startswith("s3://")


def check_listing(uri: str) -> None:
    """:raises ConfigurationError: when the listing does not have one ``*`` in its last folder."""
    if uri.count("*") != 1 or not re.search(r"\*[^/]*/$", uri):
        raise ConfigurationError(
            f"shards: {uri!r} is not a listing; write an S3 prefix with one * in its last folder, "
            "s3://bucket/raw/ds={{ ds }}/carrier=*/."
        )


def listed(s3: Any, uri: str) -> list[str]:
    """The names that stand for ``*`` among the folders in S3, sorted.

    Hidden folders (``_temporary/``, ``.cache/``) are left out, unless the folder is written with such a beginning.

    :param s3: a boto3 ``s3`` client.
    :param uri: rendered.
    """
    before, _, after = uri.partition("*")
    bucket, prefix = split_uri(before)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    folders = [folder["Prefix"] for page in pages for folder in page.get("CommonPrefixes", ())]
    names = (folder.removeprefix(prefix).removesuffix(after) for folder in folders if folder.endswith(after))
    named = not prefix.endswith("/") and bool(prefix)
    return sorted(name for name in names if name and (named or not name.startswith(_HIDDEN)))


def checked(found: Any, where: str) -> list[str]:
    """The names as a list.

    :raises SelectionError: it is no list, there is none, there are too many, or one is not a name.
    """
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
        raise SelectionError(f"shards: {where} gives {found!r:.100}, which is no list of names; return a list.")
    listed_ = list(found)
    try:
        names = list(dict.fromkeys(listed_))
    except TypeError:  # one that cannot be hashed, such as a list, is no name
        names = listed_
    if not names:
        raise SelectionError(f"shards: {where} has none for this run; is the raw data there?")
    if len(names) > MAX_SHARDS:
        raise SelectionError(f"shards: {where} has {len(names)}, at most {MAX_SHARDS} are possible; make them larger.")
    for name in names:
        if fault := fault_of(name):
            raise SelectionError(f"shards: {where} has {name!r:.80}, which {fault}.")
    if fault := fault_among(names):
        raise SelectionError(f"shards: {where}: {fault}")
    return names
