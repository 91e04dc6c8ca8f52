"""Find the Python that the environment is built with. Standard library only, any Python 3.10 or later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PREFERRED = ((3, 12), (3, 13), (3, 11))
"""What is tried, best first. The amazon provider 9.39.0 needs 3.11 (its Requires-Python), Airflow 3.3 ends at 3.13."""

PROBE = (
    "import importlib.util, json, sys, sysconfig; print(json.dumps({"
    "'version': sys.version_info[:3], 'implementation': sys.implementation.name, "
    "'threaded': bool(sysconfig.get_config_var('Py_GIL_DISABLED')), "
    "'venv': all(map(importlib.util.find_spec, ('venv', 'ensurepip')))}))"
)


class NoInterpreterError(Exception):
    """No usable Python was found; the message is one sentence for the user."""


class Interpreter(NamedTuple):
    """A Python that ran when it was asked to.

    :param usable: a CPython with a GIL, which all our packages have wheels for.
    :param has_venv: Debian ships Python without ``ensurepip`` unless python3-venv is installed.
    """

    executable: str
    version: tuple[int, int, int]
    usable: bool = True
    has_venv: bool = True

    @property
    def version_text(self) -> str:
        """Like ``3.12.1``."""
        return ".".join(map(str, self.version))


def find() -> Interpreter:
    """The best Python of this machine; only ``PYTHON``'s when that is set (``make PYTHON=python3.13 ...``).

    :raises NoInterpreterError: there is none, or the one asked for is not supported.
    """
    wanted = os.environ.get("PYTHON")
    if wanted:
        found = probe(wanted)
        return choose([found] if found else [], wanted=wanted)
    return choose(filter(None, map(probe, candidates())))


def choose(found: Iterable[Interpreter], *, wanted: str | None = None) -> Interpreter:
    """The best of the interpreters found: 3.12, then 3.13, then 3.11.

    :param found: in the order of preference among equals; read only as far as needed.
    :param wanted: what the user asked for, for the message.
    :raises NoInterpreterError: with the sentence that the user reads.
    """
    seen: list[Interpreter] = []
    for interpreter in found:
        seen.append(interpreter)
        if interpreter.version[:2] == PREFERRED[0] and interpreter.usable and interpreter.has_venv:
            break
    supported = [each for each in seen if each.usable and each.version[:2] in PREFERRED]
    ready = [each for each in supported if each.has_venv]
    if ready:
        return min(ready, key=lambda each: PREFERRED.index(each.version[:2]))
    if supported:
        first = supported[0]
        package = f"python{first.version[0]}.{first.version[1]}-venv"
        raise NoInterpreterError(
            f"Python {first.version_text} ({first.executable}) has no venv module: install it "
            f"(Debian, Ubuntu: apt install {package}) and run make again."
        )
    versions = ", ".join(sorted({each.version_text for each in seen})) or "none that runs"
    where = f"PYTHON={wanted}" if wanted else "this machine"
    raise NoInterpreterError(
        f"Python 3.11, 3.12 or 3.13 (CPython) is needed, because the amazon provider 9.39.0 needs 3.11 or later, "
        f"but {where} has {versions}: install one (3.12 is best), or name it with make PYTHON=/path/to/python3.12."
    )


def candidates() -> Iterator[str]:
    """Paths worth a try, best first, each once: by a version's name on the PATH, in pyenv's folders, plain names.

    The whole PATH, because a pyenv shim that comes first can be dead while a real Python comes later.
    """
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    seen: set[Path] = set()
    paths = [Path(sys.executable)] if sys.version_info[:2] == PREFERRED[0] else []
    for major, minor in PREFERRED:
        name = f"python{major}.{minor}"
        paths += [folder / name for folder in folders]
        paths += sorted(pyenv.glob(f"{major}.{minor}.*/bin/{name}"))
    paths += [Path(sys.executable)]
    paths += [folder / name for folder in folders for name in ("python3", "python")]
    for path in paths:
        if path not in seen and os.access(path, os.X_OK) and path.is_file():
            seen.add(path)
            yield str(path)


def probe(executable: str) -> Interpreter | None:
    """Start a Python and ask it what it is; None when it does not run (a dead shim, a broken link)."""
    try:
        answer = subprocess.run(
            [executable, "-I", "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
        )
        facts = json.loads(answer.stdout)
        major, minor, micro = facts["version"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None
    usable = facts["implementation"] == "cpython" and not facts["threaded"]
    return Interpreter(executable, (major, minor, micro), usable, facts["venv"])


def version_of(python: Path) -> str | None:
    """The version of an interpreter like ``3.12.1``, None when it does not run."""
    try:
        command = [str(python), "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode().strip() or None
