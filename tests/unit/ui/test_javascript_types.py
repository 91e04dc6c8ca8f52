"""The types that the modules' JSDoc comments give, checked by TypeScript where node and npm are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
STATIC: Final = ROOT / "plugins" / "ecs_feature" / "ui" / "static"
TYPESCRIPT: Final = "typescript@5.9.3"
FOLDER: Final = ROOT / "build" / "typescript"
"""Kept from run to run, as .venv is."""


@pytest.fixture(scope="module")
def tsc() -> str:
    """The compiler's program, installed once."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed, so the types of the JavaScript are not checked")
    program = FOLDER / "node_modules" / ".bin" / "tsc"
    if not program.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(FOLDER), TYPESCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if done.returncode:
            pytest.skip(f"{TYPESCRIPT} cannot be installed, so the types of the JavaScript are not checked")
    return str(program)


@pytest.mark.timeout(180)
def test_the_types_of_the_modules_agree(tsc: str) -> None:
    options = ["--noEmit", "--allowJs", "--checkJs", "--target", "es2022", "--module", "es2022"]
    options += ["--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable"]
    modules = sorted(map(str, STATIC.glob("*.js")))
    done = subprocess.run([tsc, *options, *modules], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
