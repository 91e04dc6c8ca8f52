"""A patch of Airflow, and the source it was tested with."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

TRIGGERER: Final = "airflow.jobs.triggerer_job_runner"
"""The module of a triggerer's two processes: the supervisor and the runner, which it forks."""


def digest(module: str, name: str) -> str | None:
    """SHA-256 of the installed source of a function or class; None where there is none.

    :param name: within the module; dots lead into classes.
    """
    try:
        found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        return hashlib.sha256(inspect.getsource(found).encode()).hexdigest()
    except (ImportError, AttributeError, TypeError, OSError):
        return None


@dataclass(frozen=True)
class Patch:
    """One change of Airflow.

    :param name: for log lines.
    :param apply: makes the change in this process.
    :param targets: by module, the functions and classes that the patch replaces or relies on, each with the digest of
        the source that was tested; none where the patch concerns no function of Airflow.
    :param process: a module that the processes concerned load before the plugins; None: all processes.
    """

    name: str
    apply: Callable[[], None]
    targets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    process: str | None = TRIGGERER

    def concerns_this_process(self) -> bool:
        return self.process is None or self.process in sys.modules

    def changed_targets(self) -> list[str]:
        """The targets whose source is not the one that was tested."""
        return [
            f"{module}.{name}"
            for module, digests in self.targets.items()
            for name, tested in digests.items()
            if digest(module, name) != tested
        ]
