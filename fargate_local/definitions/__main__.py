"""`python -m fargate_local.definitions` prints the table of rules as its README.md has it."""

from __future__ import annotations

import sys

from fargate_local.definitions.table import as_markdown

sys.stdout.write(as_markdown())
