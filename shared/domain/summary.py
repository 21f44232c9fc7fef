"""A remediation in one line, for lists, tiles and charts that show thousands without reading their documents.

Storage keeps it as one text beside the document: one property costs a reader half of what eight cost.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from sys import intern

import msgspec

from shared.clock import from_millis, to_millis
from shared.domain.error_codes import azure_code
from shared.domain.remediation import Remediation, Resolution, Status, is_remediation_id, opened_at_of
from shared.domain.resource_ids import resource_type_of

_SLASHES_IN_ID = 10
"""In the ARM id of every backup instance; names have none."""

_UNKNOWN = -1
"""In place of a time, where an older version of the app wrote none: then the status alone tells."""
MAX_CODE_CHARS = 200
"""Of an error code; Azure's have fewer than 100."""
MAX_TYPE_CHARS = 200
"""Of a resource type; those that can be backed up have fewer than 60."""


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
    azure_code: str | None = None
    """The newest code of Azure's that it met, also if it healed all the same; None in what older versions stored."""
    resolution: Resolution | None = None
    """Whether a heal repaired anything, where that is known."""
    attention_from: datetime | None = None
    """From when on somebody is called for, which may be in the future; None if the instance needs nobody."""
    datasource_type: str | None = None
    """The ARM type of what the instance protects, once that was read; None in what older versions stored."""
    incident_id: str | None = None
    """The incident that it belongs to; None in what older versions stored, too."""

    @property
    def code(self) -> str | None:
        """The code of why it did not heal, else the newest of Azure's that it met."""
        return self.error_code or self.azure_code


class _Columns(msgspec.Struct, array_like=True):
    """The stored text: all that the id does not say, as a JSON array. A newer app may have made it longer."""

    status: Status
    instance: str
    source: str
    ended_at: int | None
    """Milliseconds since 1970."""
    attempts: int
    protection_state: str | None
    error_code: str | None
    azure_code: str | None = None
    resolution: Resolution | None = None
    attention_from: int | None = _UNKNOWN
    """Milliseconds since 1970."""
    datasource_type: str | None = None
    incident_id: str | None = None


def needs_attention(
    summaries: Iterable[Summary], now: datetime, in_scope: Callable[[str], bool] = lambda _: True
) -> list[Summary]:
    """The remediations, newest first as given, that are the latest of an instance that needs a person.

    Args:
        in_scope: whether the app is to heal the instance with this ARM id; nobody is asked to mend another.
    """
    return [
        each
        for each in latest_of_each(summaries)
        if each.attention_from is not None and each.attention_from <= now and in_scope(each.instance)
    ]


def latest_of_each(summaries: Iterable[Summary]) -> Iterator[Summary]:
    """The first summary of each instance."""
    seen: set[str] = set()
    for summary in summaries:
        if (instance := summary.instance.lower()) not in seen:
            seen.add(instance)
            yield summary


def summarize(remediation: Remediation) -> Summary:
    """The remediation, in short; times to the millisecond, as if it had been stored meanwhile."""
    return summary_from_text(remediation.id, summary_to_text(remediation))


def summary_to_text(remediation: Remediation) -> str:
    """The text that storage keeps."""
    code = remediation.error.get("code") if remediation.error else None
    columns = [
        remediation.status,
        str(remediation.instance),
        remediation.source,
        to_millis(remediation.ended_at) if remediation.ended_at else None,
        remediation.attempt.number,
        remediation.protection_state,
        None if code is None else str(code),
        _azure_code(remediation),
        remediation.resolution,
        to_millis(remediation.attention.calls_from) if remediation.attention else None,
        _datasource_type(remediation),
        remediation.incident_id,
    ]
    return json.dumps(columns, separators=(",", ":"))


def summary_from_text(remediation_id: str, text: str) -> Summary:
    """The summary that `summary_to_text` wrote.

    Raises:
        ValueError: the text was never written by it.
    """
    try:
        if not is_remediation_id(remediation_id):
            raise ValueError("its row has no remediation's id")
        stored = msgspec.convert(json.loads(text), _Columns)
        if stored.instance.count("/") != _SLASHES_IN_ID:
            raise ValueError("its instance has no ARM id")
        return Summary(
            id=remediation_id,
            status=stored.status,
            instance=stored.instance,
            source=stored.source,
            opened_at=opened_at_of(remediation_id),
            ended_at=None if stored.ended_at is None else from_millis(stored.ended_at),
            attempts=stored.attempts,
            protection_state=stored.protection_state,
            error_code=stored.error_code,
            azure_code=stored.azure_code,
            resolution=stored.resolution,
            attention_from=_attention_from(stored),
            # Thousands of rows share a handful of types.
            datasource_type=intern(stored.datasource_type) if stored.datasource_type else None,
            incident_id=stored.incident_id,
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as cause:
        raise ValueError(f"not a summary: {cause}") from cause


def _attention_from(stored: _Columns) -> datetime | None:
    since = stored.attention_from
    if since == _UNKNOWN:
        since = stored.ended_at if stored.status.is_unhealed else None
    return None if since is None else from_millis(since)


def _datasource_type(remediation: Remediation) -> str | None:
    name = resource_type_of(remediation.datasource_id) if remediation.datasource_id else None
    return name[:MAX_TYPE_CHARS] if name else None


def _azure_code(remediation: Remediation) -> str | None:
    errors = (remediation.error, *(attempt.error for attempt in reversed(remediation.attempts)))
    code = next(filter(None, map(azure_code, errors)), None)
    return code[:MAX_CODE_CHARS] if code else None
