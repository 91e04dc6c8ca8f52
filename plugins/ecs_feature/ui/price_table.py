"""The prices that the tab shows costs at."""

from __future__ import annotations

import logging
import time
from typing import Final

from ecs_feature.tasks.prices import PriceTable, load_or_package

log = logging.getLogger(__name__)
FRESH_SECONDS: Final = 60.0
_kept: list[tuple[float, PriceTable]] = []


def prices() -> PriceTable:
    """The package's under the user's, read anew each minute."""
    now = time.monotonic()
    if not _kept or now - _kept[-1][0] > FRESH_SECONDS:
        _kept[:] = [(now, load_or_package(log))]
    return _kept[-1][1]
