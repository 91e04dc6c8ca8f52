"""What goes wrong with the stack.

StackError            the stack cannot start, or a part of it ended
├── UsageError        what the user asked for is refused (exit code 2)
└── RunFailedError    the stack works, but the run did not succeed
"""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot do its work; the message is for the user, and its first line is one sentence."""

    exit_code = 1


class UsageError(StackError):
    """What the user asked for is refused; the message names the option, the value and what is allowed."""

    exit_code = 2


class RunFailedError(StackError):
    """The run did not end as it should; the message names the tasks that failed and where the logs are."""
