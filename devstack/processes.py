"""The child processes of a stack: each in a session of its own, with a log file, and all of them ended together."""

from __future__ import annotations

import contextlib
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from devstack import interrupts, trees
from devstack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.1
MOST_POLL_SECONDS = 1.0
POLL_SHARE = 0.05
"""Of what was waited so far: a long wait may end that much later, and asks a tenth as often."""
LOOK_SECONDS = 1.0
"""How often a wait looks for what descends from the components: each look reads all processes of the machine."""
LAST_LINES = 15
GRACE_SECONDS = 5.0
"""How long a component may take to end. A scheduler waits for the tasks it runs, and those may take any time."""


@dataclass(frozen=True)
class Component:
    """One running part of the stack.

    :param name: as the user reads it.
    :param log: what it wrote, both streams.
    :param tier: those of a higher tier are ended first, because they talk to those of a lower.
    """

    name: str
    log: Path
    tier: int
    process: subprocess.Popen[bytes]

    def last_lines(self, count: int = LAST_LINES) -> str:
        """The end of its log, indented for a report."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-count:])


class Processes:
    """Starts, watches and ends the components of one stack.

    A guard process ends them when this process is killed, see :mod:`devstack.guard`.

    :param logs: folder of the log files; must exist.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._components: list[Component] = []
        self._known: set[psutil.Process] = set()
        self._guard: subprocess.Popen[bytes] | None = None

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        tier: int = 0,
        stdout: Path | None = None,
        user: str | None = None,
    ) -> Component:
        """Start one component from the project's folder.

        :param stdout: a file for its standard output; its log otherwise.
        :param user: whom it runs as, with that user's group alone; only root may choose. None: as we do.
        :raises StackError: the program cannot be started.
        """
        log = self.logs / f"{name}.log"
        with interrupts.shielded(), log.open("ab") as errors, (stdout or log).open("ab") as output:
            try:
                process = self._popen(command, env, output, errors, user)
            except OSError as error:
                raise StackError(f"{name} cannot be started: {error}.") from error
            self._tell_guard(f"+{process.pid}")
            component = Component(name, log, tier, process)
            self._components.append(component)
        return component

    def check(self) -> None:
        """See that every component is alive, and remember what descends from it.

        :raises StackError: one has ended; names it and carries the end of its log.
        """
        self._check_alive()
        self._known = {process for process in self._known if process.is_running()}
        self._known |= trees.descendants(component.process.pid for component in self._components)

    def _check_alive(self) -> None:
        for component in self._components:
            code = component.process.poll()
            if code is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                raise StackError(
                    f"{component.name} {how}; the end of its log ({component.log}):\n{component.last_lines()}"
                )

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout_seconds: float) -> None:
        """Wait for a condition while every component stays alive; the longer it takes, the less often it is asked for.

        :param what: completes "... after 60 s" in the message.
        :raises StackError: a component ended, or the time is over.
        """
        began, look_at = time.monotonic(), 0.0
        while not condition():
            waited = time.monotonic() - began
            if waited >= look_at:
                self.check()
                look_at = waited + LOOK_SECONDS
            else:
                self._check_alive()
            if waited > timeout_seconds:
                raise StackError(f"{what} after {timeout_seconds:.0f} s; the logs are in {self.logs}.")
            time.sleep(min(MOST_POLL_SECONDS, max(POLL_SECONDS, waited * POLL_SHARE)))

    def finish(self, component: Component, *, timeout_seconds: float) -> None:
        """Wait for a component that ends by itself.

        :raises StackError: it failed, another component ended, or the time is over.
        """
        name, process = component.name, component.process
        self._components.remove(component)
        try:
            self.wait_until(
                lambda: process.poll() is not None, what=f"{name} has not ended", timeout_seconds=timeout_seconds
            )
        finally:
            if process.poll() is None:
                self._components.append(component)
            else:
                self._tell_guard(f"-{process.pid}")
        if process.returncode:
            raise StackError(
                f"{name} ended with code {process.returncode}; the end of its log ({component.log}):\n"
                f"{component.last_lines()}"
            )

    def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """End every component and all that descends from it, tier by tier. A second Ctrl-C kills at once."""
        with interrupts.shielded():
            for tier in sorted({component.tier for component in self._components}, reverse=True):
                self._end([each for each in self._components if each.tier == tier], grace_seconds)
            trees.end((), known=self._known, grace_seconds=0)
            self._components, self._known = [], set()
            if self._guard is not None:
                self._close_guard(self._guard)
                self._guard = None

    def kill(self, names: Collection[str]) -> None:
        """Kill components and all that descends from them with -9, as a crash would."""
        doomed = [each for each in self._components if each.name in names]
        with interrupts.shielded():
            trees.kill(each.process.pid for each in doomed)
            for component in doomed:
                component.process.wait()
                self._tell_guard(f"-{component.process.pid}")
            self._components = [each for each in self._components if each.name not in names]

    def end(self, names: Collection[str], *, grace_seconds: float = GRACE_SECONDS) -> None:
        """End components as an orderly shutdown would; the others go on."""
        leaving = [each for each in self._components if each.name in names]
        with interrupts.shielded():
            self._end(leaving, grace_seconds)
            self._components = [each for each in self._components if each.name not in names]

    def is_running(self, name: str) -> bool:
        """Whether there is a component of that name that has not ended."""
        return any(each.name == name and each.process.poll() is None for each in self._components)

    def pid(self, name: str) -> int:
        """The process id of a component.

        :raises KeyError: there is none of that name.
        """
        for component in self._components:
            if component.name == name:
                return component.process.pid
        raise KeyError(name)

    def _end(self, components: Sequence[Component], grace_seconds: float) -> None:
        trees.end(
            [component.process.pid for component in components if component.process.poll() is None],
            grace_seconds=grace_seconds,
            impatient=lambda: interrupts.received() > 1,
        )
        for component in components:
            component.process.wait()
            self._tell_guard(f"-{component.process.pid}")

    @staticmethod
    def _popen(
        command: Sequence[str], env: Mapping[str, str], output: IO[bytes], errors: IO[bytes], user: str | None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command),
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )

    def _tell_guard(self, line: str) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "devstack.guard"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(f"{line}\n".encode())
            self._guard.stdin.flush()

    @staticmethod
    def _close_guard(guard: subprocess.Popen[bytes]) -> None:
        assert guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            guard.stdin.close()
        guard.wait()
