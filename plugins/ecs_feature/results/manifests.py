"""The published state of one variant and partition: versioned manifests, and a pointer that is replaced atomically.

Below the variant's prefix in S3:

    shard=UA/<try>.parquet                what a shard wrote; never overwritten
    manifest/v=0001.json                  one version; never overwritten
    manifest/current.json                 {"version": 1, "uri": ...}; replaced by a conditional put

Readers read ``current``, then the version that it names, then that version's files: they never see half a partition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ecs_feature.aws.s3 import of_s3, split_uri
from ecs_feature.exceptions import PublishError

PUBLISH_ROUNDS = 20
VERSION_URI = r"(s3://[^/]+/.+)/manifest/v=([0-9]+)\.json"
"""A regular expression."""


@dataclass(frozen=True)
class Published:
    """A published version."""

    uri: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """The shards of a complete partition.

    :param shards: the pipeline's; empty: not known.
    :param skipped: those that were skipped in this run because they have no data.
    """

    shards: Collection[str] = ()
    skipped: Collection[str] = ()


def merge(
    current: Mapping[str, Any] | None,
    shards: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, Any],
    expected: Expected = Expected(),
) -> dict[str, Any]:
    """The next version: the current one, with the given shards added or replaced.

    :param shards: name -> ``{"rows", "files": [{"uri", "bytes", "rows", "sha256"}], ...}``.
    :param run: what identifies the run, e.g. ``{"dag_id", "run_id", "logical_date", "variant"}``.
    :returns: the manifest; ``missing`` lists expected shards that were neither published nor skipped.
    """
    merged = {**(current["shards"] if current else {}), **shards}
    files = [file for shard in merged.values() for file in shard["files"]]
    version = current["version"] + 1 if current else 1
    skipped = {*(current.get("skipped", ()) if current else ()), *expected.skipped} - merged.keys()
    return {
        "version": version,
        "previous": current["version"] if current else None,
        **run,
        "rows": sum(shard["rows"] for shard in merged.values()),
        "files": len(files),
        "bytes": sum(file["bytes"] for file in files),
        "missing": sorted(set(expected.shards) - merged.keys() - skipped),
        "skipped": sorted(skipped),
        "shards": dict(sorted(merged.items())),
    }


def version_of(uri: str) -> tuple[str, int]:
    """The prefix and the number of a version's URI, ``s3://.../manifest/v=0003.json``.

    :raises PublishError: when it is no version's.
    """
    match = re.fullmatch(VERSION_URI, uri)
    if match is None:
        raise PublishError(
            f"manifest_uri: {uri!r:.300} is no version of a manifest; give s3://.../manifest/v=0003.json."
        )
    return match[1], int(match[2])


@dataclass(eq=False)
class ManifestStore:
    """Reads and moves the manifest below ``prefix`` (``s3://bucket/...``), with a boto3 ``s3`` client."""

    s3: Any
    prefix: str

    def current(self) -> dict[str, Any] | None:
        """The current manifest; None before the first publish."""
        pointer, _ = self._pointer()
        return self._get(pointer["uri"]) if pointer else None

    def versions(self) -> list[int]:
        """The numbers of all versions, also of those that no pointer has ever named."""
        bucket, key = split_uri(f"{self.prefix}/manifest/v=")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        names = [
            each["Key"].removeprefix(key).removesuffix(".json") for page in pages for each in page.get("Contents", ())
        ]
        return sorted(int(name) for name in names if name.isdecimal())

    def version(self, number: int) -> dict[str, Any]:
        """One version.

        :raises PublishError: there is none of this number.
        """
        try:
            return self._get(self._uri(number))
        except self.s3.exceptions.NoSuchKey:
            known = ", ".join(map(str, self.versions())) or "none at all"
            raise PublishError(f"version: {self.prefix} has no version {number}; it has {known}.") from None

    def roll_back(self, number: int | None = None, instead_of: int | None = None) -> Published:
        """Move the pointer to an earlier version, which stays as it is; nothing is deleted.

        :param number: of the version; default: the one before the current one.
        :param instead_of: the version that must be the current one; None: whichever it is.
        :raises PublishError: there is no such version, it is the current one, or another publish comes in between.
        """
        pointer, etag = self._pointer()
        if pointer is None:
            raise PublishError(f"{self.prefix}: nothing has been published there, so there is nothing to go back to.")
        target = number if number is not None else self._get(pointer["uri"])["previous"]
        if target is None:
            raise PublishError(f"version: {self.prefix} is at version {pointer['version']}, its first one.")
        if instead_of not in (None, pointer["version"]):
            raise PublishError(
                f"version: {self.prefix} is at version {pointer['version']}, not at {instead_of}: another publish came "
                "first; look at it (show), and try again."
            )
        if target == pointer["version"]:
            raise PublishError(f"version: {self.prefix} is at version {target} already.")
        manifest = self.version(target)
        if not self._move_pointer(self._uri(target), target, etag):
            raise PublishError(f"{self.prefix}: another publish came first; look at it (show), and try again.")
        return Published(self._uri(target), manifest)

    def _uri(self, version: int) -> str:
        return f"{self.prefix}/manifest/v={version:04d}.json"

    def publish(
        self,
        shards: Mapping[str, Mapping[str, Any]],
        run: Mapping[str, Any],
        expected: Expected = Expected(),
    ) -> Published:
        """Write the next version and move the pointer to it. When another publish comes first, merge again.

        :raises PublishError: after :data:`PUBLISH_ROUNDS` conflicts.
        """
        taken = 0
        for _ in range(PUBLISH_ROUNDS):
            pointer, etag = self._pointer()
            manifest = merge(self._get(pointer["uri"]) if pointer else None, shards, run, expected)
            # A version may exist although no pointer names it: its publish is still going on, or failed.
            manifest["version"] = max(manifest["version"], taken + 1)
            uri = self._uri(manifest["version"])
            if not self._put_new(uri, json.dumps(manifest, indent=1), "*"):
                taken = manifest["version"]
            elif self._move_pointer(uri, manifest["version"], etag):
                return Published(uri, manifest)
        raise PublishError(
            f"{self.prefix}: others published {PUBLISH_ROUNDS} times meanwhile; clear publish to try again."
        )

    def _pointer(self) -> tuple[dict[str, Any] | None, str]:
        bucket, key = split_uri(f"{self.prefix}/manifest/current.json")
        try:
            answer = of_s3(self.s3.get_object(Bucket=bucket, Key=key))
        except self.s3.exceptions.NoSuchKey:
            return None, ""
        return json.loads(answer["Body"].read()), answer["ETag"]

    def _get(self, uri: str) -> dict[str, Any]:
        bucket, key = split_uri(uri)
        content: dict[str, Any] = json.loads(of_s3(self.s3.get_object(Bucket=bucket, Key=key))["Body"].read())
        return content

    def _move_pointer(self, uri: str, version: int, etag: str) -> bool:
        body = json.dumps({"version": version, "uri": uri})
        return self._put_new(f"{self.prefix}/manifest/current.json", body, etag or "*")

    def _put_new(self, uri: str, body: str, etag: str) -> bool:
        """Write the object if its ETag is unchanged (``*``: if it does not exist); False: it was not written."""
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        condition = {"IfNoneMatch": "*"} if etag == "*" else {"IfMatch": etag}
        try:
            content = {"Body": body.encode(), "ContentType": "application/json"}
            of_s3(self.s3.put_object(Bucket=bucket, Key=key, **content, **condition))
        except ClientError as error:
            # docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
                return False
            raise
        return True
