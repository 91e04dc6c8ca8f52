"""Errors as AWS answers them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer other than success: AWS's error code, its message and the HTTP status.

    :param extra: further members of the error's shape, such as `resourceIds` of a ConflictException.
    """

    def __init__(self, code: str, message: str, status: int = 400, extra: dict[str, Any] | None = None) -> None:
        super().__init__(code, message, status, extra)
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra or {}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """The JSON body of the error in AWS's json-1.1 protocol."""
        return {"__type": self.code, "message": self.message, **self.extra}


def client(message: str) -> ApiError:
    """ClientException: what RegisterTaskDefinition and others answer to a wrong value."""
    return ApiError("ClientException", message)


def invalid(message: str) -> ApiError:
    """InvalidParameterException: a parameter has a wrong value."""
    return ApiError("InvalidParameterException", message)


class StartFailure(Exception):
    """A task that cannot start; the text becomes its stoppedReason, the stop code is TaskFailedToStart."""
