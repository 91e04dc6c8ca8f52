"""How packages are installed on this machine, as the build of ``.venv`` has found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from devstack.bootstrap import UV_SETTINGS
from devstack.processes import ROOT

FILE: Final = ROOT / ".venv" / UV_SETTINGS


def settings(path: Path = FILE) -> dict[str, str]:
    """The variables that give uv pip's index, proxy and certificates; nothing where the build left none."""
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found
