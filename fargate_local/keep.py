"""What outlives the server: S3's objects, ECS's task definitions and secrets, in files of its state folder.

The newest version of each object, with its metadata, every revision of each task definition, and each secret's current
text with its ARN, which the definitions name. Everything else (tasks, services, logs, networks) is made anew. Files are
written within seconds of a change, and at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import threading
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fargate_local.resources import State, TaskDefinition
from fargate_local.shapes import JsonObject

log = logging.getLogger("fargate_local")

SAVE_EVERY_SECONDS: Final = 2.0


class Keep:
    """Reads the state at the start, and writes it while the server runs.

    :param folder: of the files; made when missing.
    :param state: ECS's; only the event loop touches it.
    :param s3_lock: held while an object is written.
    """

    def __init__(self, folder: Path, state: State, s3_lock: threading.Lock) -> None:
        self._objects = folder / "objects"
        self._s3_file, self._ecs_file = folder / "s3.json", folder / "task-definitions.json"
        self._secrets_file = folder / "secrets.json"
        self._saved_secrets = ""
        self._state = state
        self._s3_lock = s3_lock
        self._saved_s3: object = None
        self._writing = asyncio.Lock()
        self._saved_ecs = ""
        self._saving: asyncio.Task[None] | None = None
        self._bodies: dict[tuple[str, str, datetime], str] = {}

    async def open(self) -> None:
        """Read the state, and begin to write it."""
        await asyncio.to_thread(self._load)
        self._load_definitions()
        self._saving = asyncio.create_task(self._save_often())

    async def close(self) -> None:
        """Write it for the last time."""
        if self._saving is None:
            return
        self._saving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._saving
        await self._save()

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_SECONDS)
            try:
                await self._save()
            except OSError as error:
                log.warning("the state cannot be kept: %s", error)

    async def _save(self) -> None:
        definitions = json.dumps(
            [[each.document, each.tags] for revisions in self._state.definitions.values() for each in revisions]
        )
        async with self._writing:
            await asyncio.to_thread(self._write, definitions)

    def _write(self, definitions: str) -> None:
        self._objects.mkdir(parents=True, exist_ok=True)
        if definitions != self._saved_ecs:
            _replace(self._ecs_file, definitions)
            self._saved_ecs = definitions
        secrets = json.dumps(_secrets())
        if secrets != self._saved_secrets:
            _replace(self._secrets_file, secrets, mode=0o600)
            self._saved_secrets = secrets
        with self._s3_lock:
            buckets = {bucket.name: dict(bucket.keys.items()) for bucket in _backend().buckets.values()}
        seen = {(name, key): value.last_modified for name, keys in buckets.items() for key, value in keys.items()}
        if (seen, list(buckets)) == self._saved_s3:
            return
        index = {
            name: {key: self._entry(name, key, value) for key, value in keys.items() if hasattr(value, "contentsize")}
            for name, keys in buckets.items()
        }
        _replace(self._s3_file, json.dumps(index))
        self._saved_s3 = (seen, list(buckets))

    def _entry(self, bucket: str, name: str, key: Any) -> JsonObject:
        known = (bucket, name, key.last_modified)
        if known not in self._bodies:
            body = key.value
            digest = hashlib.sha256(body).hexdigest()
            if not (self._objects / digest).exists():
                _replace(self._objects / digest, body)
            self._bodies[known] = digest
        return {
            "body": self._bodies[known],
            "metadata": dict(key.metadata),
            "last_modified": key.last_modified.isoformat(),
        }

    def _load(self) -> None:
        """Put secrets and objects back, and remove the content of objects that are gone."""
        for region, name, arn, text in _read(self._secrets_file, []):
            secrets = _secrets_backends()[region]
            secrets.create_secret(
                name=name, secret_string=text, secret_binary=None, description=None, tags=None, kms_key_id=None,
                client_request_token=None, replica_regions=[], force_overwrite=False,
            )  # fmt: skip
            secrets.secrets[name].arn = arn
        backend, used = _backend(), set()
        for bucket, keys in _read(self._s3_file, {}).items():
            if bucket not in backend.buckets:
                backend.create_bucket(bucket, "us-east-1")
            for name, entry in keys.items():
                path = self._objects / entry["body"]
                if not path.exists():
                    log.warning("s3://%s/%s is lost: its content is not there", bucket, name)
                    continue
                used.add(entry["body"])
                key = backend.put_object(bucket, name, path.read_bytes())
                key.set_metadata(entry["metadata"], replace=True)
                key.last_modified = datetime.fromisoformat(entry["last_modified"])
        for path in self._objects.glob("*"):
            if path.name not in used:
                path.unlink()

    def _load_definitions(self) -> None:
        for document, tags in _read(self._ecs_file, []):
            arn, family, revision = (document[name] for name in ("taskDefinitionArn", "family", "revision"))
            revisions = self._state.definitions.setdefault(family, [])
            revisions.append(TaskDefinition(arn, family, revision, document, tags))


def _backend() -> Any:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def _secrets_backends() -> Any:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.secretsmanager.models import secretsmanager_backends

    return secretsmanager_backends[DEFAULT_ACCOUNT_ID]


def _secrets() -> list[tuple[str, str, str, str]]:
    """Region, name, ARN and current text of each secret that is text."""
    found = []
    for region, backend in list(_secrets_backends().items()):
        for secret in list(backend.secrets.values()):
            text = secret.versions.get(secret.default_version_id, {}).get("secret_string")
            if text is not None and not secret.is_deleted():
                found.append((region, secret.name, secret.arn, text))
    return found


def _read(path: Path, default: Any) -> Any:
    """A JSON file's value; the default where it is missing or no JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default
    except ValueError as error:
        log.warning("%s is no JSON (%s); it is not read", path, error)
        return default


def _replace(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file in one step."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=mode)
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.replace(path)
