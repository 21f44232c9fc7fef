"""The card of incidents on the overview: one row for several instances that fail for the same cause. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.error_codes import ErrorCodes
from shared.domain.incident import Incident
from shared.domain.incident_cause import ScopeKind
from shared.domain.remedy import next_step_of_code
from shared.domain.summary import Summary, latest_of_each

MAX_READ = 100
_MAX_ROWS = 20
_MAX_MEMBERS = 8
"""Named in a row; a link leads to all of them."""
_SHOWN_AFTER_END = timedelta(hours=24)
_SCOPE_NAMES: Mapping[ScopeKind, str] = {
    ScopeKind.RESOURCE: "resource",
    ScopeKind.VAULT: "vault",
    ScopeKind.SUBSCRIPTION: "subscription",
}


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident."""

    incident: Incident
    scope: str
    """In words, with the last part of its id."""
    next_step: str | None
    healed: int
    """Instances among its members."""
    members: int
    """Instances."""
    named: Sequence[Summary]
    """The first of them, those that are not healed before the others."""


def incident_rows(
    known: Sequence[Incident], summaries: Sequence[Summary], error_codes: ErrorCodes, now: datetime
) -> list[IncidentRow]:
    """Those that last, and those that were over within a day, newest first.

    Args:
        known: newest first.
        summaries: of all recent remediations, newest first.
    """
    members: dict[str, list[Summary]] = {}
    for summary in summaries:
        if summary.incident_id:
            members.setdefault(summary.incident_id, []).append(summary)
    shown = [each for each in known if each.closed_at is None or now - each.closed_at < _SHOWN_AFTER_END]
    lasting_first = sorted(shown, key=lambda each: each.closed_at is not None)
    return [_row(each, members.get(each.id, []), error_codes) for each in lasting_first[:_MAX_ROWS]]


def _row(known: Incident, members: Sequence[Summary], error_codes: ErrorCodes) -> IncidentRow:
    latest = list(latest_of_each(members))
    step = None if known.closed_at else next_step_of_code(known.code, error_codes)
    return IncidentRow(
        known,
        f"{_SCOPE_NAMES[known.scope_kind]} {known.scope.rpartition('/')[2]}",
        step.text if step else None,
        sum(each.status.is_healed for each in latest),
        len(latest),
        sorted(latest, key=lambda each: each.status.is_healed)[:_MAX_MEMBERS],
    )
