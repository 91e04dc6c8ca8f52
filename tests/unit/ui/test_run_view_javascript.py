"""The browser's side of the Shards tab, by node's own test runner."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STATIC = HERE.parents[2] / "plugins" / "ecs_feature" / "ui" / "static"
NODE = shutil.which("node")
TESTS = sorted(path.name for path in HERE.glob("*.test.mjs"))

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed, so no JavaScript is run")


@pytest.mark.parametrize("name", TESTS)
def test_what_the_modules_compute_and_show(name: str, tmp_path: Path) -> None:
    shutil.copytree(STATIC, tmp_path / "static")
    shutil.copy(HERE / name, tmp_path)
    for path in HERE.glob("*.mjs"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))  # older nodes take .js for CommonJS
    done = subprocess.run([str(NODE), "--test", name], cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_module_is_read_by_node(tmp_path: Path) -> None:
    shutil.copytree(STATIC, tmp_path / "static")
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    imports = "\n".join(f'await import("./static/{path.name}");' for path in sorted(STATIC.glob("*.js")))
    (tmp_path / "all.mjs").write_text(f"globalThis.React = {{ Component: class {{}} }};\n{imports}\n")
    done = subprocess.run([str(NODE), "all.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
