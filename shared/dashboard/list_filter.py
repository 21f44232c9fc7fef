"""Which remediations the page's list shows: what its filter asks for, and which page of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.clock import from_iso
from shared.dashboard.statistics import needs_attention
from shared.domain.remediation import Status, is_remediation_id
from shared.domain.summary import Summary

ACTIVE = "Active"
NEEDS_A_PERSON = "NeedsAPerson"
GROUPS = {ACTIVE: "Active", NEEDS_A_PERSON: "Needs a person"}
"""Choices of the status filter that are more than one status, with their words."""
PAGE = 50
"""Rows."""
LONGEST_TEXT = 200
"""Characters."""


class InvalidSelection(ValueError):
    """The filter cannot be understood; the message says which field and why."""


@dataclass(frozen=True, slots=True)
class ListFilter:
    """What the filter asks for; what is empty asks for nothing."""

    status: str = ""
    """A status, or one of `GROUPS`."""
    text: str = ""
    """Part of a name: of the instance, its vault, its resource group, or of its subscription's id."""
    since: str = ""
    """A day or a time, ISO 8601; UTC where it names no offset."""
    after: str = ""
    """The id behind which the page begins."""

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.status or self.text or self.since)


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of the list."""

    rows: Sequence[Summary]
    before: int
    """How many that are asked for are newer than this page."""
    matching: int
    """How many are asked for, on all pages."""

    @property
    def older(self) -> str:
        """The id behind which the next page begins; empty where nothing follows."""
        return self.rows[-1].id if self.rows and self.before + len(self.rows) < self.matching else ""


def read_filter(query: Mapping[str, str]) -> ListFilter:
    """The filter of a request's query.

    Raises:
        InvalidSelection: a field has a value that it cannot have.
    """
    wanted = ListFilter(
        status=query.get("status", ""),
        text=query.get("text", "").strip(),
        since=query.get("since", ""),
        after=query.get("after", ""),
    )
    if wanted.status and wanted.status not in {*GROUPS, *Status}:
        raise InvalidSelection(f"status: there is no status {ascii(wanted.status)[:100]}")
    if len(wanted.text) > LONGEST_TEXT:
        raise InvalidSelection(f"text: at most {LONGEST_TEXT} characters can be looked for")
    if wanted.after and not is_remediation_id(wanted.after):
        raise InvalidSelection(f"after: {ascii(wanted.after)[:100]} is not the id of a remediation")
    _since(wanted)
    return wanted


def select(summaries: Sequence[Summary], wanted: ListFilter) -> ListPage:
    """The page of these remediations, newest first, that is asked for."""
    matching = _matching(summaries, wanted)
    # Ids count down with time: what is older has a greater one. A place that was removed meanwhile is still a place.
    before = sum(summary.id <= wanted.after for summary in matching) if wanted.after else 0
    return ListPage(matching[before : before + PAGE], before, len(matching))


def _matching(summaries: Sequence[Summary], wanted: ListFilter) -> Sequence[Summary]:
    chosen: Sequence[Summary] = summaries
    if wanted.status == ACTIVE:
        chosen = [summary for summary in chosen if not summary.status.is_terminal]
    elif wanted.status == NEEDS_A_PERSON:
        chosen = needs_attention(chosen)
    elif wanted.status:
        chosen = [summary for summary in chosen if summary.status == wanted.status]
    if since := _since(wanted):
        chosen = [summary for summary in chosen if summary.opened_at >= since]
    if text := wanted.text.lower():
        chosen = [summary for summary in chosen if _names(summary, text)]
    return chosen


def _names(summary: Summary, text: str) -> bool:
    """Whether a part of the id holds the text. A whole id, or its beginning, may be looked for too."""
    instance = summary.instance.lower()
    if "/" in text:
        return text in instance
    parts = instance.split("/")
    # Between the names stand fixed words, and "backup" is part of two of them.
    return any(text in name for name in (*parts[2:5:2], *parts[8::2]))


def _since(wanted: ListFilter) -> datetime | None:
    if not wanted.since:
        return None
    try:
        return from_iso(wanted.since)
    except (ValueError, OverflowError) as cause:
        shown = ascii(wanted.since)[:100]
        raise InvalidSelection(f"since: {shown} is no day or time such as 2026-01-02 or 2026-01-02T03:04Z") from cause
