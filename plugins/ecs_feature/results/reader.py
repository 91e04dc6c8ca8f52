"""Reading what a pipeline has published, for its consumers: a training job, a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecs_feature.aws.s3 import split_uri
from ecs_feature.exceptions import PublishError


@dataclass(frozen=True)
class Manifest:
    """One published version of a day.

    :ivar shards: by name: ``{"rows", "files": [{"uri", "bytes", ...}], ...}``.
    :ivar missing: names of shards that no run has published yet.
    :ivar content: the whole JSON object, see docs/own-dag.md.
    """

    version: int
    shards: Mapping[str, Mapping[str, Any]]
    missing: Sequence[str]
    content: Mapping[str, Any]

    def files(self, *shards: str) -> list[dict[str, Any]]:
        """The files of these shards, ``{"uri", "bytes", ...}`` each; of all shards without any.

        :raises PublishError: for a shard that is not in it.
        """
        if unknown := [name for name in shards if name not in self.shards]:
            raise PublishError(
                f"Shard {', '.join(map(repr, unknown))} is not in version {self.version} of the manifest."
            )
        return [dict(file) for name in shards or self.shards for file in self.shards[name]["files"]]

    def uris(self, *shards: str) -> list[str]:
        """The S3 URIs of :meth:`files`."""
        return [str(file["uri"]) for file in self.files(*shards)]


def read_manifest(uri: str, *, s3: Any = None) -> Manifest:
    """Read a manifest.

    :param uri: of one version, as in a publish's XCom and the asset event; or the prefix of a variant's day, whose
        current version is read then.
    :param s3: a boto3 client; default: boto3's own configuration.
    :raises PublishError: when nothing has been published there.
    """
    if s3 is None:
        import boto3

        s3 = boto3.client("s3")
    if not uri.endswith(".json"):
        uri = _get(s3, f"{uri.rstrip('/')}/manifest/current.json")["uri"]
    content = _get(s3, uri)
    return Manifest(content["version"], content["shards"], content["missing"], content)


def _get(s3: Any, uri: str) -> dict[str, Any]:
    bucket, key = split_uri(uri)
    try:
        content: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        raise PublishError(f"Nothing has been published there: {uri} does not exist.") from None
    return content
