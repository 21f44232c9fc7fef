"""Notes above a remediation: what the form did that led there, until the state has moved on. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.remediation import Remediation, Status


@dataclass(frozen=True, slots=True)
class _Note:
    text: str
    holds: Callable[[Remediation, datetime], bool]
    """Whether the remediation is still as the note says."""


def _is_acknowledged(remediation: Remediation, now: datetime) -> bool:
    attention = remediation.attention
    return bool(attention and attention.acknowledgement and attention.acknowledgement.until > now)


_NOTES: Mapping[str, _Note] = {
    "opened": _Note("The sync is queued.", lambda it, _: it.status is Status.QUEUED),
    "joined": _Note(
        "This instance is already being healed; your request was added to this remediation.",
        lambda it, _: it.status.is_healing,
    ),
    "cancelled": _Note(
        "Cancelled. An operation that is already running in Azure continues, but is no longer polled.",
        lambda it, _: it.status is Status.CANCELLED,
    ),
    "acknowledged": _Note(
        "Acknowledged. The instance needs no attention until then; healing goes on.",
        _is_acknowledged,
    ),
    "unneeded": _Note(
        "This instance needs nobody now; there was nothing to acknowledge.",
        lambda it, _: it.attention is None,
    ),
    "ended": _Note(
        "This remediation had already ended; there was nothing to cancel.",
        lambda it, _: it.status.is_terminal,
    ),
}
"""By the query parameter `note` of a redirect: a code, so that nobody can make the page show a text of theirs."""


def note_text(code: str, remediation: Remediation, now: datetime) -> str:
    """The note with this code; empty if there is none, or if it is true no more."""
    note = _NOTES.get(code)
    return note.text if note and note.holds(remediation, now) else ""
