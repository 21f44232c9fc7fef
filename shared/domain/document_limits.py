"""The greatest size of a remediation's document: what storage and topic always take. Pure.

A table's row holds 1 MiB (Table service data model), in UTF-16, and an Event Grid event 1 MB (Event Grid quotas). Texts
of Azure's have no limit of their own, and attempts and transitions grow in number. So a document that would be longer
than `MAX_DOCUMENT_CHARS` is cut: errors first, their code, message and advice kept longest and the cut marked.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from shared.domain.arm_results import ArmError
from shared.domain.attention import Attention
from shared.domain.recovery import BackupRun, Recovery
from shared.domain.remediation import Attempt, Remediation, Transition
from shared.domain.remediation_json import to_json

MAX_DOCUMENT_CHARS = 200 * 1024
"""Of its JSON, which is ASCII: as many bytes in an event, twice as many in a row."""
CUT_MARK = "truncatedFrom"
"""The field of a cut error: how many characters of JSON it came with."""
_MAX_DEPTH = 200
"""Of an error's JSON, which is read and written by recursion: Resource Manager's own go four deep."""
_ELLIPSIS = "..."
_MIN_ROOM = 32
"""Characters below which a value of an error is left out rather than cut."""
_PRIORITY = ("code", "message", "recommendedAction", "target", "additionalInfo", "innerError", "details")
"""The members of an error that are kept longest; the others follow in the order in which they came."""
_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Limits:
    """How long the parts of a document may be, in characters of JSON, and how many there may be."""

    error: int
    text: int
    url: int
    attempts: int
    history: int
    keeps_unknown: bool


_STEPS = (
    _Limits(error=32_000, text=2_000, url=8_000, attempts=20, history=100, keeps_unknown=True),
    _Limits(error=8_000, text=1_000, url=8_000, attempts=10, history=50, keeps_unknown=True),
    # At most 19 + 48 + 37 + 17 thousand characters beside the id: whatever came in, it fits.
    _Limits(error=3_000, text=500, url=4_000, attempts=5, history=50, keeps_unknown=False),
)


def limit(remediation: Remediation) -> Remediation:
    """The same remediation if its document is short enough; else with its longest parts cut."""
    backup = remediation.recovery.backup if remediation.recovery else None
    errors = [remediation.error, backup.error if backup else None, *(each.error for each in remediation.attempts)]
    if not any(_is_deeper(error, _MAX_DEPTH) for error in errors) and _fits(remediation):
        return remediation
    for limits in _STEPS:
        remediation = _cut(remediation, limits)
        if _fits(remediation):
            break
    return remediation


def _fits(remediation: Remediation) -> bool:
    return len(to_json(remediation)) <= MAX_DOCUMENT_CHARS


def _cut(remediation: Remediation, limits: _Limits) -> Remediation:
    text = _texts(limits.text)
    return replace(
        remediation,
        source=text(remediation.source),
        reason=text(remediation.reason),
        client_request_id=text(remediation.client_request_id),
        protection_state=text(remediation.protection_state),
        protection_state_before=text(remediation.protection_state_before),
        datasource_id=text(remediation.datasource_id),
        snapshot_group_id=text(remediation.snapshot_group_id),
        error=_cut_error(remediation.error, limits.error),
        recovery=_cut_recovery(remediation.recovery, limits),
        attention=_cut_attention(remediation.attention, limits),
        # The first attempt says which sync was asked for.
        attempts=tuple(_cut_attempt(each, limits) for each in _first_and_newest(remediation.attempts, limits.attempts)),
        history=tuple(_cut_transition(each, limits) for each in _first_and_newest(remediation.history, limits.history)),
        unknown=remediation.unknown if limits.keeps_unknown else {},
    )


def _cut_attention(attention: Attention | None, limits: _Limits) -> Attention | None:
    if attention is None:
        return None
    text, note = _texts(limits.text), attention.acknowledgement
    if note is not None:
        unknown = note.unknown if limits.keeps_unknown else {}
        note = replace(note, by=text(note.by), reason=text(note.reason), unknown=unknown)
    unknown = attention.unknown if limits.keeps_unknown else {}
    return replace(attention, reason=text(attention.reason), acknowledgement=note, unknown=unknown)


def _cut_recovery(recovery: Recovery | None, limits: _Limits) -> Recovery | None:
    """Cut names would name other things, so those are left out; without them, the recovery points tell."""
    if recovery is None:
        return None
    return replace(
        recovery,
        rule=_short(recovery.rule, limits.text),
        retention_tag=_short(recovery.retention_tag, limits.text),
        point_id=_short(recovery.point_id, limits.url),
        backup=_cut_backup(recovery.backup, limits) if recovery.backup else None,
        unknown=recovery.unknown if limits.keeps_unknown else {},
    )


def _cut_backup(run: BackupRun, limits: _Limits) -> BackupRun:
    return replace(
        run,
        status=_texts(limits.text)(run.status),
        operation_status_url=_short(run.operation_status_url, limits.url),
        operation_result_url=_short(run.operation_result_url, limits.url),
        job_id=_short(run.job_id, limits.text),
        error=_cut_error(run.error, limits.error),
        unknown=run.unknown if limits.keeps_unknown else {},
    )


def _cut_attempt(attempt: Attempt, limits: _Limits) -> Attempt:
    text = _texts(limits.text)
    return replace(
        attempt,
        operation_status=text(attempt.operation_status),
        # A URL that is cut leads elsewhere; without one, the instance itself is asked.
        operation_status_url=_short(attempt.operation_status_url, limits.url),
        operation_result_url=_short(attempt.operation_result_url, limits.url),
        job_id=text(attempt.job_id),
        error=_cut_error(attempt.error, limits.error),
        unknown=attempt.unknown if limits.keeps_unknown else {},
    )


def _cut_transition(transition: Transition, limits: _Limits) -> Transition:
    return replace(
        transition,
        reason=_texts(limits.text)(transition.reason),
        by=_texts(limits.text)(transition.by),
        unknown=transition.unknown if limits.keeps_unknown else {},
    )


def _first_and_newest(parts: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    return parts if len(parts) <= count else (parts[0], *parts[1 - count :])


def _texts(room: int) -> Callable[[Any], Any]:
    return lambda text: text if text is None else _cut_text(text, room)


def _short(name: str | None, room: int) -> str | None:
    return name if name is None or _size(name) <= room else None


def _is_deeper(value: Any, depth: int) -> bool:
    match value:
        case dict():
            return depth == 0 or any(_is_deeper(each, depth - 1) for each in value.values())
        case list() | tuple():
            return depth == 0 or any(_is_deeper(each, depth - 1) for each in value)
        case _:
            return False


def _shallow(value: Any, depth: int) -> Any:
    """The value without what lies deeper."""
    match value:
        case dict() if depth:
            return {name: _shallow(each, depth - 1) for name, each in value.items()}
        case list() | tuple() if depth:
            return [_shallow(each, depth - 1) for each in value]
        case dict() | list() | tuple():
            return _ELLIPSIS
        case _:
            return value


def _cut_error(error: ArmError | None, room: int) -> ArmError | None:
    if error is None:
        return None
    shallow: ArmError = _shallow(error, _MAX_DEPTH) if _is_deeper(error, _MAX_DEPTH) else error
    if (size := _size(shallow)) <= room:
        return shallow
    kept = {name: value for name, value in shallow.items() if name != CUT_MARK}
    return {**_cut_object(kept, room - _MIN_ROOM), CUT_MARK: error.get(CUT_MARK, size)}


def _cut_value(value: Any, room: int) -> Any:
    """The value, or as much of it as there is room for."""
    if _size(value) <= room:
        return value
    match value:
        case str():
            return _cut_text(value, room)
        case dict():
            return _cut_object(value, room)
        case list() | tuple():
            return _cut_list(value, room)
        case _:
            return _ELLIPSIS


def _cut_object(value: Mapping[str, Any], room: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    left = room - len("{}")
    for name in (*(name for name in _PRIORITY if name in value), *(name for name in value if name not in _PRIORITY)):
        own = _size(name) + len(":,")
        if left - own >= _MIN_ROOM:
            # What does not fit takes half of the room, so that what follows has some.
            kept[name] = _cut_value(value[name], (left - own) // 2)
            left -= own + _size(kept[name])
    return kept


def _cut_list(value: Sequence[Any], room: int) -> list[Any]:
    kept: list[Any] = []
    left = room - len("[]")
    for each in value:
        if left < _MIN_ROOM:
            break
        kept.append(_cut_value(each, left - len(",")))
        left -= len(",") + _size(kept[-1])
    return kept


def _cut_text(text: str, room: int) -> str:
    if _size(text) <= room:
        return text
    left = room - len('""') - len(_ELLIPSIS)
    for end, character in enumerate(text):
        left -= _size(character) - len('""')
        if left < 0:
            return text[:end] + _ELLIPSIS
    return text


def _size(value: Any) -> int:
    """Characters of its JSON."""
    return len(_JSON.encode(value))
