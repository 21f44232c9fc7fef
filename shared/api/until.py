"""The end of an acknowledgement or a pause, as a request gives it, and the reason for it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from shared.api.errors import ApiError
from shared.clock import from_iso

MAX_AHEAD = timedelta(days=90)
"""An instance that is left alone for longer is to be excluded instead."""


def _iso(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("expected a time in ISO 8601")
    return from_iso(value)


Until = Annotated[AwareDatetime, BeforeValidator(_iso)]
Reason = Annotated[str, Field(min_length=1, max_length=500)]


def checked_until(until: datetime, now: datetime) -> datetime:
    """The end in UTC.

    Raises:
        ApiError: 409, it has passed; 400, it is further ahead than `MAX_AHEAD`.
    """
    if until <= now:
        raise ApiError(409, "AlreadyOver", "until: the time has passed; expected one that lies ahead", "until")
    if until > now + MAX_AHEAD:
        raise ApiError(400, "InvalidRequest", f"until: expected a time within the next {MAX_AHEAD.days} days", "until")
    return until.astimezone(UTC)
