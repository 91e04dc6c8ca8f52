"""What a user adds to the local AWS of ``make up``: a file of theirs, read over what is provisioned.

``include/local.json``, all of it optional::

    {"placeholders": {"MODEL": "v3", "MY_TASK_ROLE_ARN": "arn:aws:iam::123456789012:role/mine"},
     "secrets": {"MY_TOKEN_ARN": "a secret's text"},
     "efs": {"REFERENCE_FILE_SYSTEM_ID": "include/efs/reference"}}

Each name becomes a placeholder: with its value, the secret's ARN, or the file system's id.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devstack.errors import UsageError
from devstack.processes import ROOT

FILE: Final = ROOT / "include" / "local.json"
KINDS: Final = ("placeholders", "secrets", "efs")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Own:
    """What the file says.

    :param placeholders: values by name.
    :param secrets: texts by the name of the placeholder for the ARN.
    :param efs: folders by the name of the placeholder for the file system's id.
    """

    placeholders: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    efs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = FILE) -> Own:
        """The file's content; nothing when there is no file.

        :raises UsageError: it is not as it must be; one sentence.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise UsageError(f"{path.name}: not JSON ({error}).") from error
        _check(content, path.name)
        return cls(**content)

    def file_systems(self) -> dict[str, Path]:
        """The local folder of each file system by its id.

        :raises UsageError: there is no such folder.
        """
        folders = {name: (ROOT / folder).resolve() for name, folder in self.efs.items()}
        for name, folder in folders.items():
            if not folder.is_dir():
                raise UsageError(f"{FILE.name}: efs {name} is {folder}, which is no folder; make it.")
        return {file_system_id(name): folder for name, folder in folders.items()}

    def file_system_ids(self) -> dict[str, str]:
        """The ids by placeholder."""
        return {name: file_system_id(name) for name in self.efs}


def file_system_id(name: str) -> str:
    """An id as EFS makes them, always the same for the same name."""
    return f"fs-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


def _check(content: Any, where: str) -> None:
    if not isinstance(content, dict) or not all(isinstance(content[kind], dict) for kind in content if kind in KINDS):
        raise UsageError(f'{where}: not an object of objects; write {{"placeholders": {{"NAME": "value"}}}}.')
    if unknown := sorted(content.keys() - set(KINDS)):
        raise UsageError(f"{where}: {unknown[0]!r} is not known; choose from {', '.join(KINDS)}.")
    for kind in content:
        for name, value in content[kind].items():
            if not NAME.fullmatch(name) or not isinstance(value, str):
                raise UsageError(f"{where}: {kind} {name!r} must be a name (letters, digits, _) with a text.")
