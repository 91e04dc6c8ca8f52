"""Loggers for what writes to a shard's task log."""

from __future__ import annotations

import logging
from typing import Any


class PromptLog(logging.LoggerAdapter[logging.Logger]):
    """Writes every line at once, also those that may wait for others."""

    def info_within(self, seconds: float, message: str, *arguments: Any) -> None:
        self.info(message, *arguments)
