"""Notices for people: an instance needs attention, its backup is back or not, an incident. Pure.

A notice has the id of the event on the topic that tells the same, so that it is sent once however often that event is.
Texts of Azure and names of resources are foreign: they are cut here, and escaped where a format needs it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from shared.clock import to_iso
from shared.domain.attention import is_unannounced
from shared.domain.digest import Digest, DigestFigures
from shared.domain.duration_text import duration_text
from shared.domain.error_codes import ErrorClass, ErrorCodes
from shared.domain.incident import Incident, IncidentEvent, event_id
from shared.domain.incident_cause import ScopeKind
from shared.domain.remediation import Remediation, Status
from shared.domain.remedy import next_step_of, next_step_of_code
from shared.domain.utf8 import as_utf8

_MAX_NAME_CHARS = 120
_MAX_TEXT_CHARS = 300


class NoticeKind(StrEnum):
    """The subject of a notice; in a message they come in this order."""

    ATTENTION_NEEDED = "AttentionNeeded"
    INCIDENT_OPENED = "IncidentOpened"
    INCIDENT_CLOSED = "IncidentClosed"
    NOT_RECOVERED = "NotRecovered"
    RECOVERED = "Recovered"
    DIGEST = "Digest"


_ONE_AND_MANY = {
    NoticeKind.ATTENTION_NEEDED: ("backup instance needs attention", "backup instances need attention"),
    NoticeKind.INCIDENT_OPENED: ("incident opened", "incidents opened"),
    NoticeKind.INCIDENT_CLOSED: ("incident closed", "incidents closed"),
    NoticeKind.NOT_RECOVERED: ("backup is still missing", "backups are still missing"),
    NoticeKind.RECOVERED: ("backup is back", "backups are back"),
    NoticeKind.DIGEST: ("digest", "digests"),
}
_SCOPES = {
    ScopeKind.RESOURCE: "",
    ScopeKind.VAULT: "vault ",
    ScopeKind.SUBSCRIPTION: "subscription ",
}


class Notice(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that a person is told."""

    id: str
    kind: NoticeKind
    at: datetime
    title: str
    text: str
    next_step: str | None = None
    code: str | None = None
    """Azure's error code."""
    subject: str | None
    """The ARM id that it is about, of an incident its scope; None for a digest."""
    remediation_id: str | None = None
    incident_id: str | None = None
    digest: DigestFigures | None = None
    """Of a digest."""


@dataclass(frozen=True, slots=True)
class Section:
    """The notices of one kind in a message."""

    title: str
    notices: Sequence[Notice]


@dataclass(frozen=True, slots=True)
class Message:
    """Notices that are sent together."""

    title: str
    sections: Sequence[Section]


def notices_of(remediation: Remediation, error_codes: ErrorCodes) -> list[Notice]:
    """The notices about a remediation whose events are due on the topic; a heal needs nobody, so it has none.

    Nor has a member of an incident that waits for the repair of which the incident's notice tells.
    """
    notices = []
    is_told = remediation.incident_id and error_codes.class_of(remediation.error) is ErrorClass.PERSON
    if is_unannounced(remediation) and not is_told:
        notices.append(_attention(remediation, error_codes))
    if remediation.status.ends_recovery:
        notices.append(_recovery(remediation))
    return notices


def incident_notice(incident: Incident, event: IncidentEvent, error_codes: ErrorCodes) -> Notice:
    """The notice that an incident was opened, or closed."""
    has_closed = event is IncidentEvent.CLOSED
    step = None if has_closed else next_step_of_code(incident.code, error_codes)
    code = _cut(incident.code, _MAX_NAME_CHARS)
    if has_closed and incident.closed_at:
        lasted = duration_text(incident.closed_at - incident.opened_at)
        text = f"After {lasted} none of its instances is being healed or needs a person any more."
    else:
        text = f"{incident.members} backup instances failed with it within minutes. They are healed together."
    return Notice(
        id=event_id(incident, event),
        kind=NoticeKind.INCIDENT_CLOSED if has_closed else NoticeKind.INCIDENT_OPENED,
        at=incident.closed_at if has_closed and incident.closed_at else incident.opened_at,
        title=f"{code} in {_SCOPES[incident.scope_kind]}{_cut(_last_name(incident.scope), _MAX_NAME_CHARS)}",
        text=text,
        next_step=step.text if step else None,
        code=code,
        subject=incident.scope,
        incident_id=incident.id,
    )


def attention_id(remediation_id: str) -> str:
    """The id of the notice that the instance of this remediation needs attention."""
    return f"{remediation_id}-attention"


def digest_notice(digest: Digest) -> Notice:
    """The notice with a digest; there is one for each time at which it began."""
    figures = digest.figures
    return Notice(
        id=f"digest-{to_iso(figures.since)}",
        kind=NoticeKind.DIGEST,
        at=figures.until,
        title=figures.period,
        text=digest.text,
        subject=None,
        digest=figures,
    )


def message_of(notices: Iterable[Notice]) -> Message:
    """One message with all of them, by kind, and within a kind by code."""
    by_kind: dict[NoticeKind, list[Notice]] = {kind: [] for kind in NoticeKind}
    for notice in notices:
        by_kind[notice.kind].append(notice)
    sections = []
    for kind, of_kind in by_kind.items():
        if of_kind:
            by_code = sorted(of_kind, key=lambda each: (each.code or "", each.title))
            sections.append(Section(_counted(kind, of_kind), by_code))
    return Message(", ".join(section.title for section in sections), sections)


def _counted(kind: NoticeKind, notices: Sequence[Notice]) -> str:
    if figures := notices[-1].digest:
        return figures.headline
    one, many = _ONE_AND_MANY[kind]
    return f"{len(notices)} {one if len(notices) == 1 else many}"


def _attention(remediation: Remediation, error_codes: ErrorCodes) -> Notice:
    attention, error = remediation.attention, remediation.error or {}
    step = next_step_of(remediation, error_codes)
    code, told = error.get("code"), error.get("message")
    reason = attention.reason if attention else ""
    return Notice(
        id=attention_id(remediation.id),
        kind=NoticeKind.ATTENTION_NEEDED,
        at=attention.since if attention else remediation.opened_at,
        title=_name(remediation),
        text=_cut(": ".join(str(part) for part in (reason, code, told) if part), _MAX_TEXT_CHARS),
        next_step=step.text if step else None,
        code=_cut(str(code), _MAX_NAME_CHARS) if code else None,
        subject=str(remediation.instance),
        remediation_id=remediation.id,
    )


def _recovery(remediation: Remediation) -> Notice:
    recovery = remediation.recovery
    gap = recovery.gap if recovery else None
    if remediation.status is Status.RECOVERED:
        text = "There is a recovery point newer than the failure."
        if gap is not None:
            text += f" For {duration_text(gap)} there was none."
    else:
        text = "No recovery point newer than the failure was found in time."
    return Notice(
        id=f"{remediation.id}-recovery",
        kind=NoticeKind.RECOVERED if remediation.status is Status.RECOVERED else NoticeKind.NOT_RECOVERED,
        at=(recovery.ended_at if recovery else None) or remediation.opened_at,
        title=_name(remediation),
        text=text,
        subject=str(remediation.instance),
        remediation_id=remediation.id,
    )


def _name(remediation: Remediation) -> str:
    instance = remediation.instance
    return f"{_cut(instance.name, _MAX_NAME_CHARS)} in vault {_cut(instance.vault, _MAX_NAME_CHARS)}"


def _last_name(scope: str) -> str:
    """The last part of an ARM id, or of the URL of a key vault."""
    return scope.rpartition("/")[2]


def _cut(text: str, most: int) -> str:
    flat = " ".join(as_utf8(text).split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
