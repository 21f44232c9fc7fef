"""Lists of summaries: which ones, in which order, a page of them, and counts by what they share. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.clock import to_millis
from shared.domain.remediation import Resolution, Status, instance_key_of, is_remediation_id, opened_at_of
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary, needs_attention

_LAST = "\N{DEL}"
"""Sorts behind every code."""
_MAX_ATTEMPTS = 999


class Order(StrEnum):
    """The order of a list; within it newest first."""

    ATTENTION = "Attention"
    """Those that need a person first."""
    NEWEST = "Newest"
    OLDEST = "Oldest"
    INSTANCE = "Instance"
    """By the instance's name."""
    CODE = "Code"
    ATTEMPTS = "Attempts"
    """Most first."""


class Facet(StrEnum):
    """Properties that remediations can share."""

    CODE = "Code"
    VAULT = "Vault"
    SUBSCRIPTION = "Subscription"
    SOURCE = "Source"
    RESOURCE_TYPE = "ResourceType"


GROUPINGS = (Facet.CODE, Facet.VAULT, Facet.SUBSCRIPTION)
"""Those by which a list can be counted in groups."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which remediations to list; an empty or absent condition lets all through. Texts match in any casing."""

    statuses: frozenset[Status] = frozenset()
    needs_attention: bool = False
    """Only the latest of each instance that needs a person now."""
    resolution: Resolution | None = None
    code: str = ""
    """All of it."""
    vault: str = ""
    """A vault's name, or its ARM id."""
    subscription_id: str = ""
    instance: BackupInstanceId | None = None
    source: str = ""
    resource_type: str = ""
    """Of the datasource, as `Microsoft.Compute/disks`."""
    incident_id: str = ""
    text: str = ""
    """Part of a name: of the instance, its vault, resource group or subscription; or of the code. With a slash: part
    of the ARM id."""
    since: datetime | None = None
    """Opened then or later."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The matching remediations in their order."""

    rows: Sequence[Summary]
    needing_attention: frozenset[str]
    """Ids of the remediations that need a person now, whether they match or not."""
    order: Order

    def behind(self, place: str) -> int:
        """How many rows lie before and at this place, which is one of `place_of`; 0 for an empty one."""
        if not place:
            return 0
        key = _split(place)
        # What was removed meanwhile is still a place.
        return sum(self._key(row) <= key for row in self.rows)

    def place_of(self, row: Summary) -> str:
        """The place of a row, as a text: behind it the next page begins."""
        rank, remediation_id = self._key(row)
        return f"{rank}~{remediation_id}" if rank else remediation_id

    def _key(self, row: Summary) -> tuple[str, str]:
        return _RANKS[self.order](row, self.needing_attention), row.id


@dataclass(frozen=True, slots=True)
class Group:
    """The remediations that share a value."""

    value: str
    """As the condition of that name takes it; empty for those that have none."""
    count: int
    needing_attention: int
    newest: Summary


def is_place(text: str) -> bool:
    """Whether a text can be one of `Listing.place_of`."""
    return is_remediation_id(_split(text)[1])


def list_summaries(
    summaries: Sequence[Summary],
    conditions: Conditions,
    order: Order,
    now: datetime,
    in_scope: Callable[[str], bool] = lambda _: True,
) -> Listing:
    """The remediations that match, of these, which come newest first.

    Args:
        in_scope: whether the app is to heal the instance with this ARM id; no other one needs attention.
    """
    needing = frozenset(each.id for each in needs_attention(summaries, now, in_scope))
    checks = list(_checks(conditions, needing))
    rows = [each for each in summaries if all(check(each) for check in checks)]
    if order is not Order.NEWEST:
        rank = _RANKS[order]
        rows.sort(key=lambda row: (rank(row, needing), row.id))
    return Listing(rows, needing, order)


def value_of(summary: Summary, facet: Facet) -> str:
    """The value of this property of a remediation, as the condition takes it; empty if it has none."""
    return _VALUES[facet](summary)


def group_by(rows: Iterable[Summary], facet: Facet, needing_attention: frozenset[str] = frozenset()) -> list[Group]:
    """These remediations, newest first, counted by what they share; most that need attention first, then most."""
    value = _VALUES[facet]
    first: dict[str, Summary] = {}
    counts: Counter[str] = Counter()
    needing: Counter[str] = Counter()
    for row in rows:
        key = value(row).lower()
        if key not in first or row.id < first[key].id:
            first[key] = row
        counts[key] += 1
        needing[key] += row.id in needing_attention
    groups = [Group(value(newest), counts[key], needing[key], newest) for key, newest in first.items()]
    return sorted(groups, key=lambda group: (-group.needing_attention, -group.count, group.value.lower()))


def _checks(conditions: Conditions, needing: frozenset[str]) -> Iterable[Callable[[Summary], bool]]:
    """One for each condition that there is."""
    if conditions.needs_attention:
        yield lambda each: each.id in needing
    if conditions.statuses:
        yield lambda each: each.status in conditions.statuses
    if conditions.resolution:
        yield lambda each: each.resolution is conditions.resolution
    if conditions.instance:
        key = conditions.instance.key
        yield lambda each: instance_key_of(each.id) == key
    if conditions.incident_id:
        yield lambda each: each.incident_id == conditions.incident_id
    if since := conditions.since:
        yield lambda each: each.opened_at >= since
    yield from _text_checks(conditions)


def _text_checks(conditions: Conditions) -> Iterable[Callable[[Summary], bool]]:
    facets = {
        Facet.CODE: conditions.code,
        Facet.SUBSCRIPTION: conditions.subscription_id,
        Facet.SOURCE: conditions.source,
        Facet.RESOURCE_TYPE: conditions.resource_type,
    }
    for facet, wanted in facets.items():
        if wanted:
            yield _is_same(_VALUES[facet], wanted.lower())
    if vault := conditions.vault.lower().rstrip("/"):
        yield _is_same(_VALUES[Facet.VAULT] if "/" in vault else _vault_name, vault)
    if text := conditions.text.lower():
        yield lambda each: _contains(each, text)


def _is_same(value: Callable[[Summary], str], wanted: str) -> Callable[[Summary], bool]:
    return lambda each: value(each).lower() == wanted


def _contains(summary: Summary, text: str) -> bool:
    instance = summary.instance.lower()
    if "/" in text:
        return text in instance
    parts = instance.split("/")
    # Between the names stand fixed words, and "backup" is part of two of them.
    names = (*parts[2:5:2], *parts[8::2], (summary.code or "").lower())
    return any(text in name for name in names)


def _vault_name(summary: Summary) -> str:
    return summary.instance.split("/", 9)[8]


def _instance_name(summary: Summary) -> str:
    return summary.instance.rpartition("/")[2]


def _split(place: str) -> tuple[str, str]:
    rank, _, remediation_id = place.rpartition("~")
    return rank, remediation_id


_VALUES: Mapping[Facet, Callable[[Summary], str]] = {
    Facet.CODE: lambda each: each.code or "",
    Facet.VAULT: lambda each: "/".join(each.instance.split("/", 9)[:9]),
    Facet.SUBSCRIPTION: lambda each: each.instance.split("/", 3)[2],
    Facet.SOURCE: lambda each: each.source,
    Facet.RESOURCE_TYPE: lambda each: each.datasource_type or "",
}
_RANKS: Mapping[Order, Callable[[Summary, frozenset[str]], str]] = {
    Order.ATTENTION: lambda each, needing: "0" if each.id in needing else "1",
    Order.NEWEST: lambda each, _: "",
    Order.OLDEST: lambda each, _: f"{to_millis(opened_at_of(each.id)):015d}",
    Order.INSTANCE: lambda each, _: _instance_name(each).lower(),
    Order.CODE: lambda each, _: each.code.lower() if each.code else _LAST,
    Order.ATTEMPTS: lambda each, _: f"{max(_MAX_ATTEMPTS - each.attempts, 0):03d}",
}
"""By what a list is sorted before the id, which sorts newest first."""
