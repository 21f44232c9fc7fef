"""The filter of the remediation list, and the pages of its result. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.clock import from_iso
from shared.dashboard.forms import invalid_request
from shared.domain.remediation import Resolution, Status, is_remediation_id
from shared.domain.summary import Summary, needs_attention

ACTIVE = "Active"
NEEDS_ATTENTION = "NeedsAPerson"
"""The value stands in bookmarks."""
STATUS_GROUPS = {
    ACTIVE: "Active",
    NEEDS_ATTENTION: "Needs attention",
    Resolution.REPAIRED: "Healed: repaired",
    Resolution.NOTHING_TO_REPAIR: "Healed: nothing to repair",
}
"""Choices of the status filter that are more or less than one status, with their labels."""
PAGE_SIZE = 50
"""Rows."""
MAX_TEXT_CHARS = 200


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Conditions on remediations, and where the page begins; an empty field is no condition."""

    status: str = ""
    """A status, or one of `STATUS_GROUPS`."""
    text: str = ""
    """Part of a name: of the instance, its vault, its resource group, or of its subscription's id."""
    since: str = ""
    """A day or a time, ISO 8601; UTC where it names no offset."""
    after: str = ""
    """The id of the last remediation of the page before."""

    @property
    def conditions(self) -> Mapping[str, str]:
        """The query without the place of the page."""
        return {"status": self.status, "text": self.text, "since": self.since}

    @property
    def is_filtered(self) -> bool:
        """Whether there is any condition."""
        return any(self.conditions.values())


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of the matching remediations."""

    rows: Sequence[Summary]
    offset: int
    """How many matching ones are newer than this page."""
    matching: int
    """How many match, on all pages."""

    @property
    def next_after(self) -> str:
        """`ListFilter.after` of the next page; empty on the last one."""
        return self.rows[-1].id if self.rows and self.offset + len(self.rows) < self.matching else ""


def read_filter(query: Mapping[str, str]) -> ListFilter:
    """The filter in a request's query.

    Raises:
        ApiError: 400; the message names the parameter.
    """
    list_filter = ListFilter(
        status=query.get("status", ""),
        text=query.get("text", "").strip(),
        since=query.get("since", ""),
        after=query.get("after", ""),
    )
    if list_filter.status and list_filter.status not in {*STATUS_GROUPS, *Status}:
        raise invalid_request(f"status: there is no status {ascii(list_filter.status)[:100]}")
    if len(list_filter.text) > MAX_TEXT_CHARS:
        raise invalid_request(f"text: at most {MAX_TEXT_CHARS} characters are allowed")
    if list_filter.after and not is_remediation_id(list_filter.after):
        raise invalid_request(f"after: {ascii(list_filter.after)[:100]} is not the id of a remediation")
    _parse_since(list_filter.since)
    return list_filter


def select(
    summaries: Sequence[Summary],
    list_filter: ListFilter,
    now: datetime,
    in_scope: Callable[[str], bool] = lambda _: True,
) -> ListPage:
    """The page that the filter asks for, of these remediations, newest first as given; `in_scope` as for the count."""
    matching = _matching(summaries, list_filter, now, in_scope)
    # Ids count down with time: what is older has a greater one. A place that was removed meanwhile is still a place.
    offset = sum(summary.id <= list_filter.after for summary in matching) if list_filter.after else 0
    return ListPage(matching[offset : offset + PAGE_SIZE], offset, len(matching))


def _matching(
    summaries: Sequence[Summary], list_filter: ListFilter, now: datetime, in_scope: Callable[[str], bool]
) -> Sequence[Summary]:
    matching = summaries
    if list_filter.status == ACTIVE:
        matching = [summary for summary in matching if not summary.status.is_terminal]
    elif list_filter.status == NEEDS_ATTENTION:
        matching = needs_attention(matching, now, in_scope)
    elif list_filter.status in tuple(Resolution):
        matching = [summary for summary in matching if summary.resolution == list_filter.status]
    elif list_filter.status:
        matching = [summary for summary in matching if summary.status == list_filter.status]
    if since := _parse_since(list_filter.since):
        matching = [summary for summary in matching if summary.opened_at >= since]
    if text := list_filter.text.lower():
        matching = [summary for summary in matching if _contains(summary.instance.lower(), text)]
    return matching


def _contains(instance: str, text: str) -> bool:
    """Whether one of the names in the id contains the text; a text with a slash is searched in the whole id."""
    if "/" in text:
        return text in instance
    parts = instance.split("/")
    # Between the names stand fixed words, and "backup" is part of two of them.
    return any(text in name for name in (*parts[2:5:2], *parts[8::2]))


def _parse_since(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return from_iso(text)
    except (ValueError, OverflowError) as cause:
        example = "2026-01-02 or 2026-01-02T03:04Z"
        raise invalid_request(f"since: {ascii(text)[:100]} is not a date or time such as {example}") from cause
