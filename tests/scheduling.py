"""How pytest-xdist spreads the tests over its workers: those of one stack together, the slow ones first."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/chaos/", "tests/system/", "tests/browser/")
"""The tests of such a folder share one stack, so that they go to one worker."""
HALVES = "tests/system/test_r"
"""The system tests are two pieces, each with a stack of its own: they are the longest of all. This is where the second
begins, by name."""
FIRST = (
    *TOGETHER,
    "tests/integration/",
    "tests/contract/",
    "tests/features/",
    "tests/unit/services/",
    "tests/unit/pipeline/",
    "tests/unit/estimates/",
)
"""The order in which folders are begun; the others come after them. What takes long must not be begun last."""


class StacksTogether(LoadScopeScheduling):
    """A file is one piece of work, and so is a folder whose tests share a stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = next((folder for folder in TOGETHER if file.startswith(folder)), file)
        return f"{folder}2" if folder == TOGETHER[1] and file >= HALVES else folder


def slow_first(item: pytest.Item) -> int:
    """Sort key of a test: the place of its folder in :data:`FIRST`."""
    return next((place for place, folder in enumerate(FIRST) if item.nodeid.startswith(folder)), len(FIRST))


def scheduler(config: Any, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # it knows of numbers of tests alone
    return StacksTogether(config, log)
