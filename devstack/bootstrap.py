"""Build the project's environment: ``.venv`` with every package of ``requirements.lock`` and the project itself.

Run by any Python 3.10 or later, without anything installed: ``python3 devstack/bootstrap.py``. uv does the work: it
finds the interpreter, makes the venv and installs. This script brings uv and gives it pip's settings, lets one build
go on at a time, and says in one sentence what is in the way.

pip brings uv, because pip comes with Python and is what companies have configured for their mirror or proxy. pip alone
is no second way: the lock names uv too, so an index without uv cannot serve the lock.

A second call finds a stamp and returns at once. The stamp is written last and removed first, so an interrupted build
never looks ready: without a stamp the next call starts from an empty folder.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.12", "3.13", "3.11")
"""What is tried, best first. The amazon provider 9.39.0 needs 3.11 (its Requires-Python), Airflow 3.3 ends at 3.13."""

UV_SETTINGS = "uv.json"
"""File in ``.venv`` with the variables that the build gave to uv."""

UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX", "trusted-host": "UV_INSECURE_HOST", "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT", "proxy": "ALL_PROXY", "cert": "SSL_CERT_FILE", "client-cert": "SSL_CLIENT_CERT",
}  # fmt: skip
"""pip's options and uv's variables of the same meaning (docs.astral.sh/uv/reference/environment)."""

KNOWN_CAUSES = {
    r"no space left on device|os error 28|disk quota exceeded":
        "The disk is full: the environment needs about 2 GB; free some space and run make again.",
    r"certificate verify failed|invalid peer certificate":
        "The certificate of the package index is not trusted: name the file of its issuer (PIP_CERT), "
        "and run make again.",
    r"name resolution|dns error|failed to lookup address|connection refused|network is unreachable|connecttimeout|"
    r"newconnectionerror|timed out|error sending request|client error \(connect\)|max retries exceeded|"
    r"tunnel connection failed|connection reset":
        "The package index cannot be reached: check the network, or point pip to a mirror (PIP_INDEX_URL), "
        "and run make again.",
    r"no matching distribution found for uv":
        "pip finds no uv as requirements.lock names it: point pip to an index that has it and that pip trusts "
        "(PIP_INDEX_URL, PIP_TRUSTED_HOST), and run make again.",
    r"command '[\w/.-]*(cc|clang|[cg]\+\+)' failed|unable to execute '\w+'|no such file or directory: '(gcc|cc)'|"
    r"linker `cc` not found|can't find rust compiler|is rust installed|microsoft visual c\+\+":
        "A package has no wheel for this Python and machine and needs a compiler to build: install one "
        "(Debian, Ubuntu: build-essential) or use Python 3.12 on Linux or macOS, and run make again.",
}  # fmt: skip
"""What pip, uv and compilers print (in lower case), which have no codes for it, and what the user reads."""


class BootstrapError(Exception):
    """The environment cannot be built; the message is one sentence for the user."""


def main() -> int:
    """Build what is missing; the exit code is 0 when ``.venv`` is ready."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        ensure(ROOT)
    except (BootstrapError, OSError) as error:
        print(error if isinstance(error, BootstrapError) else explain("a step", str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped before .venv was complete; the next make starts it again.", file=sys.stderr)
        return 130
    return 0


def ensure(root: Path) -> None:
    """Make ``root/.venv`` hold exactly what ``requirements.lock`` says, unless its stamp says that it does.

    :raises BootstrapError: one sentence on what is in the way and what to do.
    """
    if is_ready(root):
        return
    (root / "build").mkdir(exist_ok=True)
    with (root / "build" / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another make that is building .venv")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_ready(root):
            with tempfile.TemporaryDirectory(dir=root / "build", prefix="uv-") as folder:
                build(root, Path(folder))


def build(root: Path, folder: Path) -> None:
    """Bring uv into an empty folder and let it build; an environment that was complete is only brought up to date.

    :raises BootstrapError: one sentence on what is in the way and what to do.
    """
    started, log, venv = time.monotonic(), root / "build" / "bootstrap.log", root / ".venv"
    lock, python, stamp = root / "requirements.lock", venv / "bin" / "python", venv / "stamp"
    packages = re.findall(r"^[\w.-]+==\S+", lock.read_text(), re.MULTILINE)
    pip, env = find_pip(folder, log), environment(os.environ)
    config = subprocess.run([*pip, "config", "list"], env=env, stdout=subprocess.PIPE, text=True).stdout
    wanted = next(each for each in packages if each.startswith("uv=="))
    options = ["--quiet", "--no-input", "--retries=2", "--no-deps", f"--target={folder}"]
    run("bringing uv", [*pip, "install", *options, wanted], log, env)
    uv, env = str(folder / "bin" / "uv"), uv_environment(config, env)
    complete = stamp.exists() and version_of(python)
    stamp.unlink(missing_ok=True)
    if not complete:
        base = find_python(uv, env)
        run(f"making .venv with {base}", [uv, "venv", "--clear", "--force", "--python", base, str(venv)], log, env)
    into = ["--python", str(python)]
    run(f"installing {len(packages)} packages", [uv, "pip", "sync", *into, str(lock)], log, env)
    project = ["--no-deps", "--no-build-isolation", "--editable", str(root)]
    run("installing the project", [uv, "pip", "install", *into, *project], log, env)
    keep_settings(venv / UV_SETTINGS, env)
    draft = venv / "stamp.draft"
    draft.write_text(digest(root))
    draft.replace(stamp)
    say(f"ready after {time.monotonic() - started:.0f} s")


def keep_settings(path: Path, env: Mapping[str, str]) -> None:
    """What uv was given of pip's settings, for who installs later; there may be a password in it."""
    names = ("ALL_PROXY", "SSL_CERT_FILE", "SSL_CLIENT_CERT")
    given = {name: value for name, value in env.items() if name.startswith("UV_") or name in names}
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(given))


def find_pip(folder: Path, log: Path) -> list[str]:
    """The command that is pip: this Python's, else that of a venv made in the folder (Debian's Python may lack either).

    :raises BootstrapError: this Python has neither.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if not importlib.util.find_spec("ensurepip"):
        raise BootstrapError(
            f"This Python ({sys.executable}) has neither pip nor venv, and one of them must bring uv: install one "
            "(Debian, Ubuntu: apt install python3-venv), or name another Python with make PYTHON=/path/to/python3.12."
        )
    run("making a venv for pip", [sys.executable, "-m", "venv", str(folder / "pip")], log, environment(os.environ))
    return [str(folder / "pip" / "bin" / "python"), "-m", "pip"]


def find_python(uv: str, env: Mapping[str, str]) -> str:
    """The path of the best Python of this machine; only ``PYTHON``'s when that is set (``make PYTHON=python3.13 ...``).

    :raises BootstrapError: there is none, or the one asked for is not supported.
    """
    named = env.get("PYTHON")
    for request in [named] if named else [f"cpython{version}" for version in PYTHONS]:
        found = subprocess.run([uv, "python", "find", "--system", request], env=env, capture_output=True, text=True)
        path = found.stdout.strip()
        if (version_of(path) or "").rpartition(".")[0] in PYTHONS:
            return path
    where = f"PYTHON={named} is none of them" if named else "uv finds none on this machine"
    raise BootstrapError(
        f"Python 3.11, 3.12 or 3.13 (CPython) is needed, because the amazon provider 9.39.0 needs 3.11 or later, but "
        f"{where}: install one (3.12 is best), or name it with make PYTHON=/path/to/python3.12."
    )


def run(words: str, command: list[str], log: Path, env: Mapping[str, str]) -> None:
    """Run one command, its output going to the log file; every ten seconds the user reads that it goes on.

    :raises BootstrapError: it failed; the sentence says why where that is known.
    """
    say(words)
    started = time.monotonic()
    with log.open("ab+") as sink:
        begin = sink.seek(0, os.SEEK_END)
        # Its own process group: Ctrl-C reaches this process only, which then ends the command and says so.
        child = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=10)
                    break
                say(f"{words} ({time.monotonic() - started:.0f} s)")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        sink.seek(begin)
        if child.returncode:
            raise BootstrapError(f"{explain(words, sink.read().decode(errors='replace'))} (the whole output: {log})")


def explain(words: str, output: str) -> str:
    """One sentence on why a step failed: a known cause, else the last line that it wrote."""
    for signs, sentence in KNOWN_CAUSES.items():
        if re.search(signs, output.lower()):
            return sentence
    last = output.strip().rpartition("\n")[2].strip()
    return f"The environment cannot be built: {words} failed with: {last or 'no output'}"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the build's commands: without what would lead them elsewhere, also in pip's settings."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in given.items() if name not in left_out}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}


def uv_environment(pip_config: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment in which uv can do what pip can do here; what the user has set for uv itself stays.

    uv reads none of pip's settings, and companies with a mirror have often configured pip only.

    :param pip_config: what ``pip config list`` printed.
    """
    options: dict[str, str] = {"cert": env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE") or ""}
    for section in ("global", "install", ":env:"):  # in pip's order: the last one counts
        found = re.findall(rf"^{section}\.([\w-]+)=(.*)$", pip_config, re.MULTILINE)
        options |= {name: ast.literal_eval(value) for name, value in found}
    pyenv = Path(env.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/*/bin")
    settings = {
        "PATH": os.pathsep.join([env.get("PATH", os.defpath), *map(str, sorted(pyenv))]),  # pyenv's shims can be dead
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PYTHON_PREFERENCE": "system",
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip's: all indexes are equal
        "UV_SYSTEM_CERTS": "1",  # as pip does
        "UV_COMPILE_BYTECODE": "1",  # else every start of Airflow compiles some 14,000 files
    }
    for name, variable in UV_NAMES.items():
        if values := options.get(name, "").split():
            settings[variable] = ("," if name == "find-links" else " ").join(values)
    return {**env, **settings, **{name: value for name, value in env.items() if name.startswith("UV_")}}


def is_ready(root: Path) -> bool:
    """Whether the stamp fits the lock, the project file and an interpreter that really runs."""
    try:
        return (root / ".venv" / "stamp").read_text() == digest(root)
    except FileNotFoundError:
        return False


def digest(root: Path) -> str:
    """A digest of everything that decides what the environment holds, of where it stands and of what runs it."""
    sha = hashlib.sha256(f"{root} {version_of(root / '.venv' / 'bin' / 'python')}".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        sha.update((root / name).read_bytes())
    return sha.hexdigest()


def version_of(python: Path | str) -> str | None:
    """The version of an interpreter like ``3.12.1``, None when it does not run."""
    command = [python, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def say(words: str) -> None:
    """One line of progress."""
    print(f"environment: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
