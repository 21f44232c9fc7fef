"""A remediation as JSON: the text that storage keeps, and the document that the API and the outcome event show.

Times are ISO 8601 in UTC with milliseconds, ids keep the casing in which they came in, absent values are null.
Fields that a later version of the app added survive being read and written.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, get_type_hints

import msgspec

from shared.clock import from_millis, to_iso, to_millis
from shared.domain.arm_error import with_advice
from shared.domain.attention import Acknowledgement, Attention
from shared.domain.document_fields import UNKNOWN
from shared.domain.error_codes import ErrorCodes
from shared.domain.recovery import BackupRun, Recovery
from shared.domain.remediation import Attempt, Remediation, Transition
from shared.domain.remedy import next_step_of
from shared.domain.resource_ids import BackupInstanceId

Document = dict[str, Any]
Struct = Remediation | Attempt | Transition | Recovery | BackupRun | Attention | Acknowledgement
Part = TypeVar("Part", bound=Struct)
_KINDS: tuple[type, ...] = (Remediation, Attempt, Transition, Recovery, BackupRun, Attention, Acknowledgement)
_NAMES = {kind: {field.name: field.encode_name for field in msgspec.structs.fields(kind)} for kind in _KINDS}
_TIME_FIELDS = {
    kind: [name for name, hint in get_type_hints(kind).items() if hint in (datetime, datetime | None)]
    for kind in _KINDS
}
_TIMES = {kind: [_NAMES[kind][name] for name in names] for kind, names in _TIME_FIELDS.items()}
_FIELDS = {kind: frozenset(_NAMES[kind].values()) for kind in _KINDS}
_OBSOLETE = frozenset({"isHeld"})
"""Fields that earlier versions wrote, and that mean nothing any more."""
_POLL_RUN_EVERY = 30_000
"""Milliseconds, by the default of `POLL_SCHEDULE`."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class CorruptDocument(ValueError):
    """A stored document cannot be read as a remediation; the message says what is wrong."""


def to_json(remediation: Remediation) -> str:
    """The document as JSON text."""
    return _ENCODER.encode(to_document(remediation))


def to_document(remediation: Remediation) -> Document:
    """The stored document as a JSON object, of such types as `json.loads` gives: not every encoder knows tuples."""
    document: Document = msgspec.to_builtins(remediation, enc_hook=str)
    document["attempts"], document["history"] = list(document["attempts"]), list(document["history"])
    for kind, part in list(_parts(document)):
        _finish(kind, part)
    return document


def shown_document(remediation: Remediation, error_codes: ErrorCodes, now: datetime | None = None) -> Document:
    """The document as API and outcome event show it: with `advice` in errors and `nextStep`, which are not stored.

    Args:
        now: where given, what is overdue is due in this half minute: no poll is made in the past.
    """
    document = to_document(remediation)
    if now and remediation.due_at and remediation.due_at < now:
        document["dueAt"] = to_iso(_next_poll_run(now))
    next_step = next_step_of(remediation, error_codes)
    document["nextStep"] = msgspec.to_builtins(next_step) if next_step else None
    for _, part in _parts(document):
        if part.get("error"):
            part["error"] = with_advice(part["error"])
    return document


def _next_poll_run(now: datetime) -> datetime:
    """When the poller runs next, at the latest."""
    return from_millis(-(-to_millis(now) // _POLL_RUN_EVERY) * _POLL_RUN_EVERY)


def from_json(text: str) -> Remediation:
    """The remediation that `to_json` wrote, in this version or another.

    Raises:
        CorruptDocument: the text is no JSON, a field is missing, or it has a value that was never written.
    """
    try:
        document = json.loads(text)
        remediation = msgspec.convert(document, Remediation, dec_hook=_decode)
        _check(remediation)
        return msgspec.structs.replace(
            _with_unknown_fields(remediation, document),
            recovery=_read_recovery(remediation.recovery, document),
            attention=_read_attention(remediation.attention, document),
            attempts=tuple(map(_with_unknown_fields, remediation.attempts, document["attempts"])),
            history=tuple(map(_with_unknown_fields, remediation.history, document["history"])),
        )
    except (ValueError, RecursionError, OverflowError) as cause:
        raise CorruptDocument(f"not a remediation: {type(cause).__name__}: {cause}") from cause


def _parts(document: Document) -> Iterator[tuple[type, Document]]:
    """The document and the objects in it, each with its struct."""
    yield Remediation, document
    yield from ((Attempt, attempt) for attempt in document["attempts"])
    yield from ((Transition, transition) for transition in document["history"])
    if recovery := document["recovery"]:
        yield Recovery, recovery
        if backup := recovery["backup"]:
            yield BackupRun, backup
    if attention := document["attention"]:
        yield Attention, attention
        if acknowledgement := attention["acknowledgement"]:
            yield Acknowledgement, acknowledgement


def _read_recovery(recovery: Recovery | None, document: Mapping[str, Any]) -> Recovery | None:
    if recovery is None:
        return None
    found = document["recovery"]
    backup = _with_unknown_fields(recovery.backup, found["backup"]) if recovery.backup else None
    return msgspec.structs.replace(_with_unknown_fields(recovery, found), backup=backup)


def _read_attention(attention: Attention | None, document: Mapping[str, Any]) -> Attention | None:
    if attention is None:
        return None
    found, known = document["attention"], attention.acknowledgement
    acknowledgement = _with_unknown_fields(known, found["acknowledgement"]) if known else None
    return msgspec.structs.replace(_with_unknown_fields(attention, found), acknowledgement=acknowledgement)


def _finish(kind: type, part: Document) -> None:
    """Times to the millisecond, and the unknown fields beside the known ones."""
    for name in _TIMES[kind]:
        if time := part[name]:
            part[name] = f"{time[:23]}Z" if len(time) > 23 else f"{time[:-1]}.000Z"
    part.update(part.pop(UNKNOWN))


def _decode(kind: type, value: object) -> object:
    if kind is BackupInstanceId:
        return BackupInstanceId.parse(value)
    raise NotImplementedError(kind)


def _check(remediation: Remediation) -> None:
    """Check what types do not say, and writing and polling need.

    Raises:
        ValueError: it does not hold.
    """
    recovery = remediation.recovery
    attention = remediation.attention
    acknowledgement = attention.acknowledgement if attention else None
    others = (recovery, recovery.backup if recovery else None, attention, acknowledgement)
    parts: tuple[Struct | None, ...] = (remediation, *remediation.attempts, *remediation.history, *others)
    for part in filter(None, parts):
        for name in _TIME_FIELDS[type(part)]:
            time = getattr(part, name)
            if time is not None and time.tzinfo is not UTC:
                raise ValueError(f"{name} is not in UTC")
    if remediation.due_at is None and not remediation.status.is_terminal:
        raise ValueError("it has not ended and is never due")


def _with_unknown_fields(part: Part, document: Mapping[str, Any]) -> Part:
    unknown = _unknown_fields(type(part), document)
    return msgspec.structs.replace(part, unknown=unknown) if unknown else part


def _unknown_fields(kind: type, document: Mapping[str, Any]) -> Document:
    return {name: value for name, value in document.items() if name not in _FIELDS[kind] | _OBSOLETE}
