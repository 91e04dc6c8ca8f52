"""The environment is really built here, with this machine's pip, uv and Python, from two wheels in a folder.

The wheel called uv starts the uv of this environment, so that no index is needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from devstack import bootstrap

UV = next(line for line in (bootstrap.ROOT / "requirements.lock").read_text().splitlines() if line.startswith("uv=="))
LOADER = "import importlib.util, sys; sys.path[0] = 'devstack'; import bootstrap; "
WITHOUT_PIP = "find = importlib.util.find_spec; importlib.util.find_spec = lambda name: name not in {} and find(name); "
START = "sys.exit(bootstrap.main())"


def _wheel(folder: Path, name: str, version: str, files: Mapping[str, str]) -> None:
    info = f"{name}-{version}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, **metadata}.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o100755 << 16  # a regular file; pip looks for it
            wheel.writestr(entry, text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a lock of two packages, and pip configured in a file only, for a folder instead of an index."""
    root, wheels = tmp_path / "project", tmp_path / "wheels"
    (root / "devstack").mkdir(parents=True)
    wheels.mkdir()
    shutil.copy(bootstrap.__file__, root / "devstack")
    (root / "requirements.lock").write_text(f"small==1.0\n{UV}\n")
    build_system = "[build-system]\nrequires = []\nbuild-backend = 'small'\n"
    (root / "pyproject.toml").write_text(f"{build_system}[project]\nname = 'project'\nversion = '1.0'\n")
    backend = (
        "import pathlib, shutil\n"
        "def build_editable(folder, *_):\n"
        f"    name = 'project-1.0-py3-none-any.whl'\n    shutil.copy({str(wheels / 'project-1.0-py3-none-any.whl')!r}, "
        "pathlib.Path(folder, name))\n    return name\n"
    )
    _wheel(wheels, "small", "1.0", {"small.py": backend})
    _wheel(wheels, "project", "1.0", {"project.py": "number = 1\n"})
    script = f'#!/bin/sh\n[ "$1" != "$HANG" ] || sleep 600\nexec {Path(sys.executable).parent / "uv"} "$@"\n'
    version = UV.removeprefix("uv==")
    _wheel(wheels, "uv", version, {f"uv-{version}.data/scripts/uv": script})
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links =\n    {wheels}\nuser = true\n")
    return root


def _start(project: Path, code: str = LOADER + START, **given: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    env = {**kept, "PIP_CONFIG_FILE": str(project.parent / "pip.conf"), "PYTHON": sys.executable, **given}
    # Not this environment's Python, which has no pip.
    python = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")
    return subprocess.Popen(
        [python, "-c", code], cwd=project, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _build(project: Path, code: str = LOADER + START, **given: str) -> tuple[int, list[str]]:
    process = _start(project, code, **given)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output.splitlines()


def _imports(project: Path, names: str) -> bool:
    command = [str(project / ".venv" / "bin" / "python"), "-c", f"import {names}"]
    return subprocess.run(command, cwd=project / "build", capture_output=True).returncode == 0


def test_pips_own_settings_are_enough_to_build_and_a_changed_lock_is_followed_in_place(project: Path) -> None:
    code, lines = _build(project)
    assert (code, lines[0]) == (0, "environment: bringing uv")
    assert _imports(project, "small, project")
    assert list((project / ".venv").rglob("__pycache__/small.*.pyc"))
    assert _build(project) == (0, [])
    (project / ".venv" / "mine").touch()
    _wheel(project.parent / "wheels", "more", "2.0", {"more.py": ""})
    with (project / "requirements.lock").open("a") as lock:
        lock.write("more==2.0\n")
    code, lines = _build(project)
    assert (code, [line for line in lines if "making .venv" in line]) == (0, [])
    assert _imports(project, "small, more, project")
    assert (project / ".venv" / "mine").exists()
    assert sorted(path.name for path in (project / "build").iterdir()) == ["bootstrap.lock", "bootstrap.log"]


def test_an_environment_whose_python_is_gone_is_made_anew(project: Path) -> None:
    assert _build(project)[0] == 0
    (project / ".venv" / "mine").touch()
    (project / ".venv" / "bin" / "python").unlink()
    assert _build(project)[0] == 0
    assert _imports(project, "small, project")
    assert not (project / ".venv" / "mine").exists()


def test_two_builds_at_once_are_one_build(project: Path) -> None:
    builds = [_start(project), _start(project)]
    outputs = [build.communicate(timeout=120)[0] for build in builds]
    assert [build.returncode for build in builds] == [0, 0]
    assert sorted("ready after" in output for output in outputs) == [False, True]
    assert sorted(output for output in outputs if "ready after" not in output) == [
        "environment: waiting for another make that is building .venv\n"
    ]


@pytest.mark.parametrize(("sign", "step"), [(signal.SIGINT, "pip"), (signal.SIGTERM, "venv")])
def test_a_stopped_build_says_so_leaves_no_process_and_the_next_starts_from_nothing(
    project: Path, sign: signal.Signals, step: str
) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "stamp").touch()
    build = _start(project, HANG=step)
    parent = psutil.Process(build.pid)
    deadline = time.monotonic() + 60
    while not (left := [each for each in parent.children(recursive=True) if each.name() == "sleep"]):
        assert time.monotonic() < deadline
        assert build.poll() is None
        time.sleep(0.05)
    build.send_signal(sign)
    output, _ = build.communicate(timeout=60)
    assert build.returncode == 130
    assert output.splitlines()[-1] == "Stopped before .venv was complete; the next make starts it again."
    assert psutil.wait_procs(left, timeout=10)[1] == []
    assert sorted(path.name for path in (project / "build").iterdir()) == ["bootstrap.lock", "bootstrap.log"]
    assert not (project / ".venv" / "stamp").exists()
    (project / ".venv" / "mine").touch()
    assert _build(project)[0] == 0
    assert _imports(project, "small, project")
    assert not (project / ".venv" / "mine").exists()


def test_a_python_without_pip_makes_a_venv_that_has_it(project: Path) -> None:
    code, lines = _build(project, LOADER + WITHOUT_PIP.format(("pip",)) + START)
    assert (code, lines[0]) == (0, "environment: making a venv for pip")
    assert _imports(project, "small, project")


def test_a_python_without_pip_and_venv_is_told_so(project: Path) -> None:
    code, lines = _build(project, LOADER + WITHOUT_PIP.format(("pip", "ensurepip")) + START)
    assert code == 1
    assert len(lines) == 1
    assert "has neither pip nor venv, and one of them must bring uv: install one" in lines[0]


def test_a_python_that_is_not_supported_is_refused(project: Path) -> None:
    code, lines = _build(project, LOADER + "bootstrap.PYTHONS = ('3.10',); " + START)
    assert code == 1
    assert lines[-1] == (
        "Python 3.11, 3.12 or 3.13 (CPython) is needed, because the amazon provider 9.39.0 needs 3.11 or later, but "
        f"PYTHON={sys.executable} is none of them: install one (3.12 is best), "
        "or name it with make PYTHON=/path/to/python3.12."
    )


def test_python_312_is_preferred_and_a_dead_shim_is_passed_over(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    real = Path(sys.executable).parent / "uv"
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$4" >> {asked}\nexec {real} "$@"\n')
    uv.chmod(0o755)
    for version in bootstrap.PYTHONS:
        shim = tmp_path / "shims" / f"python{version}"
        shim.parent.mkdir(exist_ok=True)
        shim.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
        shim.chmod(0o755)
    tools = Path(sys.base_prefix) / "bin"
    env = {"HOME": str(tmp_path), "UV_PYTHON_PREFERENCE": "only-system", "UV_PYTHON_DOWNLOADS": "never"}
    found = bootstrap.find_python(str(uv), {**env, "PATH": f"{tmp_path / 'shims'}:{tools}:/bin"})
    assert bootstrap.version_of(found)
    assert asked.read_text().split()[0] == "cpython3.12"
    assert Path(found).parent != tmp_path / "shims"
    with pytest.raises(bootstrap.BootstrapError, match="but uv finds none on this machine: install one"):
        bootstrap.find_python(str(real), {**env, "PATH": str(tmp_path / "shims"), "UV_PYTHON_SEARCH_PATH": "/none"})


@pytest.mark.parametrize(
    ("output", "start"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("error: failed to copy file: No space left on device (os error 28)", "The disk is full"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "The package index"),
        ("error sending request for url\n  Caused by: dns error: failed to lookup address", "The package index"),
        ("ConnectTimeoutError(..., 'Connection to mirror timed out. (connect timeout=15)')", "The package index"),
        ("SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed", "The certificate of"),
        ("Max retries exceeded\nNo matching distribution found for uv==0.13.9", "The package index cannot"),
        ("ERROR: No matching distribution found for uv==0.13.9", "pip finds no uv"),
        ("error: command 'gcc' failed: No such file or directory", "A package has no wheel"),
        ("error: command '/usr/bin/x86_64-linux-gnu-gcc' failed with exit code 1", "A package has no wheel"),
        (
            "ERROR: bad\nERROR: Hash mismatch \n\n",
            "The environment cannot be built: a step failed with: ERROR: Hash mis",
        ),
        ("", "The environment cannot be built: a step failed with: no output"),
    ],
)
def test_the_cause_of_a_failed_step_is_told_in_one_sentence(output: str, start: str) -> None:
    assert bootstrap.explain("a step", output).startswith(start)


def test_uv_gets_what_pip_is_configured_for_and_keeps_what_it_has_itself() -> None:
    config = (
        "global.index-url='https://a.example/simple'\ninstall.index-url='https://b.example/simple'\n"
        "global.extra-index-url='\\nhttps://c.example\\nhttps://d.example'\nglobal.cert='/ca.pem'\n"
        ":env:.proxy='http://proxy.example:3128'\n:env:.find-links='/x /y'\nglobal.quiet='1'\n"
    )
    given = {"UV_FIND_LINKS": "/mine", "REQUESTS_CA_BUNDLE": "/other.pem", "HOME": "/home", "PATH": "/bin"}
    env = bootstrap.uv_environment(config, given)
    assert env["UV_DEFAULT_INDEX"] == "https://b.example/simple"
    assert env["UV_INDEX"] == "https://c.example https://d.example"
    assert (env["SSL_CERT_FILE"], env["ALL_PROXY"]) == ("/ca.pem", "http://proxy.example:3128")
    assert (env["UV_FIND_LINKS"], env["HOME"]) == ("/mine", "/home")
    assert bootstrap.uv_environment("", given)["SSL_CERT_FILE"] == "/other.pem"
    assert bootstrap.uv_environment(config, {})["UV_FIND_LINKS"] == "/x,/y"
