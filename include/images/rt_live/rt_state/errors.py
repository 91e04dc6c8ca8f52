"""Why the job fails. Each message is one sentence for the log; nothing is printed of a stack.

JobError                a failure of the work itself (exit code 1)
└── ContractError       the container was started with a wrong environment (exit code 2)
"""

from __future__ import annotations


class JobError(Exception):
    """The job cannot deliver its result."""

    exit_code = 1


class ContractError(JobError):
    """A variable of the job contract is missing or malformed."""

    exit_code = 2
