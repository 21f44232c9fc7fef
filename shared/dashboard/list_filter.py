"""The filter of the remediation list as it stands in the page's query, and the page of rows that it asks for. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from shared.api.csv_export import accepts_csv
from shared.clock import from_iso
from shared.dashboard.forms import invalid_request
from shared.domain.remediation import ID_PATTERN, Resolution, Status, is_remediation_id
from shared.domain.summary import Summary
from shared.domain.summary_list import (
    GROUPINGS,
    Conditions,
    Facet,
    Group,
    Listing,
    Order,
    group_by,
    is_place,
    list_summaries,
)

ACTIVE = "Active"
NEEDS_ATTENTION = "NeedsAPerson"
"""The value stands in bookmarks."""
STATUS_GROUPS = {
    NEEDS_ATTENTION: "Needs attention",
    ACTIVE: "Active",
    Resolution.REPAIRED: "Healed: repaired",
    Resolution.NOTHING_TO_REPAIR: "Healed: nothing to repair",
}
"""Choices of the status filter that are more or less than one status, with their labels."""
PAGE_SIZE = 50
"""Rows."""
MAX_GROUPS = 50
MAX_CHOICES = 100
"""Of one select; a text finds the others."""
MAX_TEXT_CHARS = 200
_MAX_VALUE_CHARS = 500
_GROUP_PARAMETERS = {Facet.CODE: "error", Facet.VAULT: "vault", Facet.SUBSCRIPTION: "subscription"}
ORDERS = {
    Order.ATTENTION: "Needs attention first",
    Order.NEWEST: "Newest first",
    Order.OLDEST: "Oldest first",
    Order.INSTANCE: "By name",
    Order.CODE: "By code",
    Order.ATTEMPTS: "Most attempts first",
}
"""Labels of the orders."""


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Conditions on remediations, their order, and where the page begins; an empty field is no condition."""

    status: str = ""
    """A status, or one of `STATUS_GROUPS`."""
    text: str = ""
    """As `Conditions.text`."""
    since: str = ""
    """A day or a time, ISO 8601; UTC where it names no offset."""
    error: str = ""
    """An error code; `code` is the function key's name in a query."""
    vault: str = ""
    subscription: str = ""
    source: str = ""
    type: str = ""
    """Of the datasource."""
    incident: str = ""
    """The id of one."""
    sort: str = ""
    """One of `Order`; attention first where it is empty."""
    group: str = ""
    """One of `GROUPINGS`: groups are listed in place of remediations."""
    after: str = ""
    """The place of the last remediation of the page before."""

    @property
    def query(self) -> dict[str, str]:
        """All of it but the place of the page."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "after"}

    @property
    def is_filtered(self) -> bool:
        """Whether there is any condition."""
        return any(value for name, value in self.query.items() if name not in ("sort", "group"))

    @property
    def is_refined(self) -> bool:
        """Whether there is a condition beyond status and text."""
        return any(value for name, value in self.query.items() if name not in ("status", "text", "sort", "group"))

    @property
    def order(self) -> Order:
        """The order of the list."""
        return Order(self.sort) if self.sort else Order.ATTENTION

    def within(self, value: str) -> dict[str, str]:
        """The query of the remediations in one of the groups."""
        return {**self.query, "group": "", _GROUP_PARAMETERS[Facet(self.group)]: value}

    def conditions(self) -> Conditions:
        """The conditions of the list.

        Raises:
            ApiError: 400, `since` is no time.
        """
        return Conditions(
            statuses=_statuses(self.status),
            needs_attention=self.status == NEEDS_ATTENTION,
            resolution=Resolution(self.status) if self.status in tuple(Resolution) else None,
            code=self.error,
            vault=self.vault,
            subscription_id=self.subscription,
            source=self.source,
            resource_type=self.type,
            incident_id=self.incident,
            text=self.text,
            since=_parse_since(self.since),
        )


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of the matching remediations, or their groups."""

    rows: Sequence[Summary]
    offset: int
    """How many matching ones come before this page."""
    matching: int
    """How many match, on all pages."""
    needing_attention: frozenset[str]
    """Ids of those that need a person."""
    next_after: str
    """`ListFilter.after` of the next page; empty on the last one."""
    groups: Sequence[Group]
    """Instead of rows, where the filter asks for groups; no more than `MAX_GROUPS`."""
    group_count: int


def read_filter(query: Mapping[str, str]) -> ListFilter:
    """The filter in a request's query, whose names are in lower case.

    Raises:
        ApiError: 400; the message names the parameter.
    """
    list_filter = ListFilter(**{field.name: query.get(field.name, "").strip() for field in fields(ListFilter)})
    check_choice("status", list_filter.status, {*STATUS_GROUPS, *Status})
    check_choice("sort", list_filter.sort, {*Order})
    check_choice("group", list_filter.group, {*GROUPINGS})
    for name, value in list_filter.query.items():
        limit = MAX_TEXT_CHARS if name == "text" else _MAX_VALUE_CHARS
        if len(value) > limit:
            raise invalid_request(f"{name}: at most {limit} characters are allowed")
    if list_filter.incident and not is_remediation_id(list_filter.incident):
        raise invalid_request(f"incident: {ascii(list_filter.incident)[:100]} is not an id like {ID_PATTERN}")
    if list_filter.after and not is_place(list_filter.after):
        raise invalid_request(f"after: {ascii(list_filter.after)[:100]} is not a place in the list")
    _parse_since(list_filter.since)
    return list_filter


def check_choice(name: str, value: str, known: set[str]) -> None:
    """A parameter is empty, or one of these.

    Raises:
        ApiError: 400, it is not.
    """
    if value and value not in known:
        raise invalid_request(f"{name}: there is no {name} {ascii(value)[:100]}")


def wants_csv(query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Whether the list is to come as CSV, by the query, whose names are in lower case, or by `Accept`.

    Raises:
        ApiError: 400, the query names another format.
    """
    wanted = query.get("format", "")
    check_choice("format", wanted, {"csv"})
    return wanted == "csv" or accepts_csv(headers)


def select(
    summaries: Sequence[Summary],
    list_filter: ListFilter,
    now: datetime,
    in_scope: Callable[[str], bool] = lambda _: True,
) -> ListPage:
    """The page that the filter asks for, of these remediations, newest first as given; `in_scope` as for the count."""
    listing = matching(summaries, list_filter, now, in_scope)
    groups = group_by(listing.rows, Facet(list_filter.group), listing.needing_attention) if list_filter.group else []
    offset = listing.behind(list_filter.after)
    rows = [] if list_filter.group else listing.rows[offset : offset + PAGE_SIZE]
    has_next = bool(rows) and offset + len(rows) < len(listing.rows)
    return ListPage(
        rows,
        offset,
        len(listing.rows),
        listing.needing_attention,
        listing.place_of(rows[-1]) if has_next else "",
        groups[:MAX_GROUPS],
        len(groups),
    )


def matching(
    summaries: Sequence[Summary],
    list_filter: ListFilter,
    now: datetime,
    in_scope: Callable[[str], bool] = lambda _: True,
) -> Listing:
    """All that match, in their order; arguments as for `select`."""
    return list_summaries(summaries, list_filter.conditions(), list_filter.order, now, in_scope)


def choices(summaries: Sequence[Summary], list_filter: ListFilter) -> Mapping[str, Sequence[Group]]:
    """The choices of the filter's selects, by the name of the parameter; the chosen one is always among them."""
    facets = {"error": Facet.CODE, "vault": Facet.VAULT, "source": Facet.SOURCE, "type": Facet.RESOURCE_TYPE}
    offered = {}
    for name, facet in facets.items():
        groups = [group for group in group_by(summaries, facet) if group.value]
        chosen = list_filter.query[name].lower()
        offered[name] = [
            group for place, group in enumerate(groups) if place < MAX_CHOICES or group.value.lower() == chosen
        ]
    return offered


def _statuses(status: str) -> frozenset[Status]:
    if status == ACTIVE:
        return frozenset(each for each in Status if not each.is_terminal)
    return frozenset({Status(status)}) if status in tuple(Status) else frozenset()


def _parse_since(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return from_iso(text)
    except (ValueError, OverflowError) as cause:
        example = "2026-01-02 or 2026-01-02T03:04Z"
        raise invalid_request(f"since: {ascii(text)[:100]} is not a date or time such as {example}") from cause
