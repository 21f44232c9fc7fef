"""A remediation in one line: what lists, tiles and charts show of thousands, without reading their documents.

Storage keeps it as one text beside the document: one property costs a reader half of what eight cost.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from shared.clock import from_millis, to_millis
from shared.domain.remediation import Remediation, Status, opened_at_of


@dataclass(frozen=True, slots=True)
class Summary:
    """One remediation, in short."""

    id: str
    status: Status
    instance: str
    """The backup instance's ARM id, in the casing it came in."""
    source: str
    opened_at: datetime
    ended_at: datetime | None
    attempts: int
    """How many sync calls it has taken or is about to take."""
    protection_state: str | None
    error_code: str | None
    """Of why it did not heal, or of the newest hindrance."""


def summarize(remediation: Remediation) -> Summary:
    """The remediation, in short."""
    code = remediation.error.get("code") if remediation.error else None
    return Summary(
        id=remediation.id,
        status=remediation.status,
        instance=str(remediation.instance),
        source=remediation.source,
        # To the millisecond, as the id has it: the same whether it was stored meanwhile or not.
        opened_at=opened_at_of(remediation.id),
        ended_at=from_millis(to_millis(remediation.ended_at)) if remediation.ended_at else None,
        attempts=len(remediation.attempts),
        protection_state=remediation.protection_state,
        error_code=None if code is None else str(code),
    )


def to_text(summary: Summary) -> str:
    """What is stored: all that the id does not say, as a JSON array."""
    ended_at = to_millis(summary.ended_at) if summary.ended_at else None
    fields = [
        summary.status.value,
        summary.instance,
        summary.source,
        ended_at,
        summary.attempts,
        summary.protection_state,
        summary.error_code,
    ]
    return json.dumps(fields, separators=(",", ":"))


def from_text(remediation_id: str, text: str) -> Summary:
    """The summary that `to_text` wrote; an array that a newer app made longer is read as far as it is known.

    Raises:
        ValueError: the text was never written by it.
    """
    try:
        return _read(remediation_id, *json.loads(text)[:7])
    except (ValueError, TypeError, KeyError, OverflowError) as cause:
        raise ValueError(f"not a summary: {cause}") from cause


def _read(
    remediation_id: str,
    status: str,
    instance: str,
    source: str,
    ended_at: int | None,
    attempts: int,
    protection_state: str | None,
    error_code: str | None,
) -> Summary:
    return Summary(
        id=remediation_id,
        status=Status(status),
        instance=instance,
        source=source,
        opened_at=opened_at_of(remediation_id),
        ended_at=None if ended_at is None else from_millis(ended_at),
        attempts=attempts,
        protection_state=protection_state,
        error_code=error_code,
    )
