"""Programs in processes forked from one that has done the imports: each has its own, and starts seconds earlier."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

SERVER = """
import json, os, sys, traceback
def fork_each():
    for line in sys.stdin:
        program, out, err = json.loads(line)
        child = os.fork()
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
            os.dup2(os.open(path, flags | os.O_CREAT | os.O_TRUNC), number)
        code = 0
        try:
            exec(program, dict(globals()))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
fork_each()
"""


class Forks:
    """Use it as a context manager.

    :param first: what the first process does, once: imports.
    :param folder: where the programs run; what they print goes to files in it.
    """

    def __init__(self, first: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._files = folder / "forks.out", folder / "forks.err"
        self._process = subprocess.Popen(
            [sys.executable, "-c", first + SERVER],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Forks:
        self._process.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.__exit__(kind, error, at)

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a program in a process of its own, to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([program, *map(str, self._files)]) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, "the first process has ended"
        out, err = (path.read_text() for path in self._files)
        return subprocess.CompletedProcess(program, int(code), out, err)

    def run_module(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``python -m name arguments``, but for the imports that are done."""
        program = f"import runpy, sys\nsys.argv = {[name, *arguments]}\n"
        return self.run(program + f"runpy.run_module({name!r}, run_name='__main__', alter_sys=True)")
