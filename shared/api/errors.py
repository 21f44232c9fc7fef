"""Errors of the HTTP API, in ARM's shape.

The shape is `{"error": {code, message, target, details}}` (Resource Manager REST guidelines, "Error response").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import logs


@dataclass(eq=False)
class ApiError(Exception):
    """A request that cannot be served: an HTTP status and ARM's error."""

    status: int
    code: str
    message: str
    target: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()
    retry_after: float | None = None
    """Seconds."""

    def body(self) -> dict[str, Any]:
        """The error as a JSON object."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "target": self.target,
                "details": list(self.details),
            }
        }


def storage_unavailable(cause: Exception) -> ApiError:
    """503: storage cannot be reached, or other writers keep changing the same row."""
    message = f"storage cannot be used now: {logs.describe_exception(cause)}"
    return ApiError(503, "StorageUnavailable", message, retry_after=10)


def dropped(code: str, reason: str) -> ApiError:
    """The policy drops a request: 403 out of scope, 409 not now."""
    return ApiError(403 if code == "OutOfScope" else 409, code, reason, "backupInstanceId")
