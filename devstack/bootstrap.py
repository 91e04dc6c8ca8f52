"""Build the project's environment: ``.venv`` with every package of ``requirements.lock`` and the project itself.

Run by any Python 3.10 or later, without anything installed: ``python3 devstack/bootstrap.py``. A second call
finds a stamp and returns at once. The stamp is written last and removed first, so an interrupted build never
looks ready: without a stamp the next call starts from an empty folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

if __package__:
    from devstack import interpreters
else:  # run as a script, before anything is installed
    import interpreters  # type: ignore[import-not-found,no-redef]

ROOT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.9"
PROGRESS_SECONDS = 5.0
"""How often a long step says that it is still going on where the output is not a terminal."""


DROPPED = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})


class BootstrapError(Exception):
    """The environment cannot be built; the message is one sentence for the user."""


class Step(NamedTuple):
    """One command of the build and the words that its progress line shows."""

    words: str
    command: Sequence[str]


def main() -> int:
    """Build what is missing; the exit code is 0 when ``.venv`` is ready."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        ensure(ROOT)
    except (BootstrapError, interpreters.NoInterpreterError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(explain(str(error)) or f"The environment cannot be built: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped before .venv was complete; the next make starts it again.", file=sys.stderr)
        return 130
    return 0


def ensure(root: Path) -> None:
    """Make ``root/.venv`` hold exactly what ``requirements.lock`` says, unless its stamp says that it does.

    :raises BootstrapError: one sentence on what is in the way and what to do.
    :raises interpreters.NoInterpreterError: no supported Python was found.
    """
    venv = root / ".venv"
    if is_ready(venv, root):
        return
    log = root / "build" / "bootstrap.log"
    log.parent.mkdir(exist_ok=True)
    with locked(root / "build" / "bootstrap.lock"):
        if is_ready(venv, root):
            return  # another make was building it
        started = time.monotonic()
        if not read_stamp(venv) or interpreters.version_of(venv_python(venv)) is None:
            chosen = interpreters.find()
            say(f"environment: Python {chosen.version_text} ({chosen.executable})")
            remove(venv)
            run(Step("making .venv", [chosen.executable, "-m", "venv", str(venv)]), log, started)
        (venv / "stamp.json").unlink(missing_ok=True)
        install(venv, root, log, started)
        version = interpreters.version_of(venv_python(venv))
        write_stamp(venv, {"digest": digest(root), "python": version})
        say(f"environment: ready after {time.monotonic() - started:.0f} s")


def install(venv: Path, root: Path, log: Path, started: float) -> None:
    """Install the lock and the project: with uv, or with pip where uv cannot be had.

    :raises BootstrapError: neither of them could.
    """
    python, lock = str(venv_python(venv)), str(root / "requirements.lock")
    packages = [line for line in (root / "requirements.lock").read_text().splitlines() if "==" in line]
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input"]
    uv = [python, "-m", "uv", "pip"]
    words = f"installing {len(packages)} packages"
    try:
        run(Step("installing uv", [*pip, "--retries", "2", UV]), log, started)
        run(Step(words, [*uv, "sync", "--python", python, "--compile-bytecode", lock]), log, started)
    except CommandFailedError as failure:
        if sentence := explain(failure.output):
            raise BootstrapError(f"{sentence} (the whole output: {log})") from None
        say("environment: uv did not work here, going on with pip, which is slower")
        uv = []
        run_or_explain(Step(words, [*pip, "-r", lock]), log, started)
    if (root / "pyproject.toml").exists():
        command = [*uv, "install", "--python", python] if uv else pip
        flags = ["--no-deps", "--no-build-isolation", "--editable", str(root)]
        run_or_explain(Step("installing the project", [*command, *flags]), log, started)


class CommandFailedError(Exception):
    """A command of the build ended with another code than 0."""

    def __init__(self, words: str, output: str) -> None:
        super().__init__(words)
        self.output = output


def run_or_explain(step: Step, log: Path, started: float) -> None:
    """Run a step that has no second way.

    :raises BootstrapError: it failed; the sentence says why where that is known.
    """
    try:
        run(step, log, started)
    except CommandFailedError as failure:
        last = next((line.strip() for line in reversed(failure.output.splitlines()) if line.strip()), "no output")
        sentence = explain(failure.output) or f"The environment cannot be built: {step.words} failed with: {last}"
        raise BootstrapError(f"{sentence} (the whole output: {log})") from None


def run(step: Step, log: Path, started: float) -> None:
    """Run one command, its output going to the log file, a progress line going to the user.

    :raises CommandFailedError: the command ended with another code than 0; carries what it wrote.
    """
    with log.open("ab") as sink:
        begin = sink.tell()
        sink.write(f"$ {' '.join(step.command)}\n".encode())
        sink.flush()
        # Its own process group: Ctrl-C reaches this process only, which then ends the command and says so.
        child = subprocess.Popen(
            step.command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment(), start_new_session=True
        )
        try:
            wait(child, step.words, started)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if child.returncode:
        with log.open("rb") as source:
            source.seek(begin)
            raise CommandFailedError(step.words, source.read().decode(errors="replace"))


def wait(child: subprocess.Popen[Any], words: str, started: float) -> None:
    """Wait for the command to end, saying every few seconds that it goes on."""
    live = sys.stdout.isatty()
    said = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.2)
        ended, now = child.poll() is not None, time.monotonic()
        line = f"environment: {words} ({now - started:.0f} s)"
        if live:
            print(f"\r\x1b[2K{line}", end="\n" if ended else "", flush=True)
        elif ended or now - said >= PROGRESS_SECONDS:
            said = now
            say(line)
        if ended:
            return


def explain(output: str) -> str | None:
    """One sentence on the known causes of a failed installation, or None for the others.

    pip, uv and compilers report these in prose only; the tests keep an example of each.
    """
    text = output.lower()

    def has(*signs: str) -> bool:
        return any(sign in text for sign in signs)

    if has("no space left on device", "os error 28", "disk quota exceeded"):
        return "The disk is full: the environment needs about 2 GB; free some space and run make again."
    if has("ensurepip is not available", "no module named venv", "no module named ensurepip"):
        return (
            "This Python cannot make a venv: install its venv package (Debian, Ubuntu: python3-venv) "
            "and run make again."
        )
    if has(
        "name resolution", "dns error", "failed to lookup address", "connection refused", "network is unreachable",
        "newconnectionerror", "connecttimeout", "read timed out", "timed out", "error sending request",
        "client error (connect)", "max retries exceeded", "tunnel connection failed", "connection reset",
    ):  # fmt: skip
        return (
            "The package index cannot be reached: check the network, or point pip and uv to a mirror "
            "(PIP_INDEX_URL, UV_DEFAULT_INDEX), and run make again."
        )
    if has(
        "command 'gcc' failed", "command 'cc' failed", "unable to execute 'gcc'", "command 'clang' failed",
        "command 'x86_64-linux-gnu-gcc' failed", "no such file or directory: 'gcc'", "no such file or directory: 'cc'",
        "linker `cc` not found", "can't find rust compiler", "is rust installed", "microsoft visual c++",
    ):  # fmt: skip
        return (
            "A package has no wheel for this Python and machine and needs a compiler to build: install one "
            "(Debian, Ubuntu: build-essential) or use Python 3.12 on Linux or macOS, and run make again."
        )
    return None


def is_ready(venv: Path, root: Path) -> bool:
    """Whether the stamp fits the lock, the project file and an interpreter that really runs."""
    stamp = read_stamp(venv)
    if not stamp or stamp["digest"] != digest(root):
        return False
    return bool(stamp["python"] == interpreters.version_of(venv_python(venv)))


def digest(root: Path) -> str:
    """A digest of everything that decides what the environment holds, and of where it stands."""
    sha = hashlib.sha256(f"{UV} {root}".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        path = root / name
        sha.update(path.read_bytes() if path.exists() else b"-")
    return sha.hexdigest()


def read_stamp(venv: Path) -> dict[str, Any]:
    """The stamp of a finished build, empty when there is none."""
    try:
        stamp = json.loads((venv / "stamp.json").read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and {"digest", "python"} <= stamp.keys() else {}


def write_stamp(venv: Path, stamp: dict[str, Any]) -> None:
    """Write the stamp in one step: it is there whole or not at all."""
    draft = venv / "stamp.json.draft"
    draft.write_text(json.dumps(stamp))
    draft.replace(venv / "stamp.json")


def remove(venv: Path) -> None:
    """Remove an environment, its stamp first."""
    (venv / "stamp.json").unlink(missing_ok=True)
    if venv.exists():
        shutil.rmtree(venv)


def venv_python(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / "bin" / "python"


def environment() -> dict[str, str]:
    """The environment of the build's commands.

    Byte code is always wanted (every start of Airflow would else compile some 14,000 files); uv gets pip's
    index, because companies with a mirror often have configured pip only, and trusts the machine's certificates
    as pip does.
    """
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
    }
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    env.setdefault("UV_SYSTEM_CERTS", "1")
    env["UV_NO_PROGRESS"] = "1"
    return env


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one build go on at a time: a second make waits for the first."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("environment: waiting for another make that is building .venv")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """One line of progress."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
