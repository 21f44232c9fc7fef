"""The hash chain over outcomes, and the seals that keep its state at the end of each day. Pure.

Each outcome is a line of cells, as the report shows it. Its hash is the SHA-256 of the JSON array of the hash before
it and its cells, so that nobody can change, add or remove an outcome without changing every hash behind it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from shared.clock import to_iso
from shared.domain.csv_cells import hashed_cell
from shared.domain.report import Outcome

FIRST_HASH = "0" * 64
"""Before the first outcome of all."""
COLUMNS = (
    "endedAt",
    "remediationId",
    "status",
    "backupInstanceId",
    "source",
    "openedAt",
    "resolution",
    "byItself",
    "protectionStateBefore",
    "attempts",
    "jobId",
    "errorCode",
    "recoveryPointBefore",
    "recoveryPoint",
    "gapSeconds",
)
"""Of an outcome; all that its hash covers."""


@dataclass(frozen=True, slots=True)
class Link:
    """One outcome in the chain."""

    outcome: Outcome
    previous_hash: str
    hash: str
    """Both are empty where no seal says what came before: of days before the first seal, or that are not kept whole."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The chain at the end of a day in UTC, as it was written down soon afterwards."""

    day: date
    count: int
    """Outcomes of that day."""
    previous_hash: str
    """At the end of the day before."""
    hash: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The outcomes of some days, linked, and compared with the seals."""

    links: Sequence[Link]
    as_sealed: int
    """Days that are as they were when they were sealed."""
    differing: Sequence[date]
    """Days that are not."""


def cells_of(outcome: Outcome) -> Sequence[str]:
    """The values of `COLUMNS`."""
    return (
        to_iso(outcome.ended_at),
        outcome.remediation_id,
        outcome.status,
        str(outcome.instance),
        outcome.source,
        to_iso(outcome.opened_at),
        outcome.resolution or "",
        "true" if outcome.by_itself else "false",
        outcome.protection_state_before or "",
        str(outcome.attempts),
        outcome.job_id or "",
        outcome.error_code or "",
        to_iso(outcome.point_before) if outcome.point_before else "",
        to_iso(outcome.point) if outcome.point else "",
        "" if outcome.gap is None else f"{outcome.gap.total_seconds():.0f}",
    )


def link(previous_hash: str, outcomes: Iterable[Outcome]) -> Iterator[Link]:
    """The outcomes, in this order, behind the one with this hash."""
    for outcome in outcomes:
        linked = Link(outcome, previous_hash, _hash(previous_hash, cells_of(outcome)))
        yield linked
        previous_hash = linked.hash


def seal(day: date, before: Seal | None, outcomes: Sequence[Outcome]) -> Seal:
    """The seal of a day.

    Args:
        before: that of the day before; None for the first of all.
        outcomes: all of that day, by the time of their end.
    """
    previous_hash = before.hash if before else FIRST_HASH
    links = [*link(previous_hash, outcomes)]
    return Seal(day, len(links), previous_hash, links[-1].hash if links else previous_hash)


def checked(outcomes: Sequence[Outcome], before: Seal | None, seals: Sequence[Seal], kept_since: date) -> Chain:
    """The chain over the outcomes of some days.

    Args:
        outcomes: by the time of their end.
        before: the last seal before these days; None if there is none.
        seals: of these days, sorted.
        kept_since: the first day of which nothing was removed; days before it are not compared.
    """
    of_day = {each.day: each for each in seals}
    by_day: dict[date, list[Outcome]] = {each.day: [] for each in seals}
    for outcome in outcomes:
        by_day.setdefault(outcome.ended_at.date(), []).append(outcome)
    links: list[Link] = []
    same, differing = 0, []
    for day, of_it in sorted(by_day.items()):
        known = of_day.get(day)
        if day < kept_since or not (before or known):
            links += (Link(outcome, "", "") for outcome in of_it)
            before = known or before
            continue
        found = seal(day, before, of_it)
        links += link(found.previous_hash, of_it)
        if known:
            same += found == known
            differing += [] if found == known else [day]
        # What comes behind was sealed with what was known then.
        before = known or found
    return Chain(links, same, differing)


def _hash(previous_hash: str, cells: Sequence[str]) -> str:
    text = json.dumps([previous_hash, *map(hashed_cell, cells)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
