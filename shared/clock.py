"""Times: aware and in UTC everywhere; their forms as text and as milliseconds."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def to_iso(moment: datetime) -> str:
    """`2026-01-02T03:04:05.678Z`: ISO 8601 in UTC with milliseconds, the form that Azure's APIs show."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """Read an ISO 8601 time; one without an offset is taken as UTC.

    Raises:
        ValueError: the text is no ISO 8601 time.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def foreign_time(value: object) -> datetime | None:
    """The time in a JSON value of others, as `from_iso` reads it but in any casing; None where it is none."""
    try:
        return from_iso(value.upper()) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def to_millis(moment: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00:00Z, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_millis(millis: int) -> datetime:
    """The moment so many milliseconds after 1970-01-01T00:00:00Z."""
    return _EPOCH + millis * _MILLISECOND
