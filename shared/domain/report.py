"""The report about one month: the outcomes, and per vault and subscription what they add up to. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from shared.domain.remediation import Remediation, Resolution, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import REQUEST

MONTH_PATTERN = "^2[0-9]{3}-(0[1-9]|1[0-2])$"


@dataclass(frozen=True, slots=True)
class Period:
    """Some days in UTC, from a midnight to another."""

    start: datetime
    end: datetime
    """Not in it."""

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Month(Period):
    """A calendar month."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The month that `2026-01` names.

        Raises:
            ValueError: it names none.
        """
        if not re.fullmatch(MONTH_PATTERN, text):
            raise ValueError("expected a month as in 2026-01")
        return cls.of(datetime(int(text[:4]), int(text[5:]), 1, tzinfo=UTC))

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The month in which this moment is."""
        start = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(start, (start + timedelta(days=31)).replace(day=1))

    def __str__(self) -> str:
        return f"{self.start:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a heal, or that of the recovery after it, with its evidence. Nothing of it changes afterwards."""

    remediation_id: str
    instance: BackupInstanceId
    status: Status
    source: str
    opened_at: datetime
    ended_at: datetime
    resolution: Resolution | None
    protection_state_before: str | None
    attempts: int
    job_id: str | None
    """Azure's job of the last one, or of the backup on demand."""
    error_code: str | None
    point_before: datetime | None
    point: datetime | None
    """The recovery point that proves the recovery."""
    gap: timedelta | None
    """How long there was no recovery point."""
    by_itself: bool
    """A heal that nobody asked for, of an instance that needed nobody on the way."""


@dataclass(frozen=True, slots=True)
class AttentionPeriod:
    """A time in which an instance needed a person."""

    instance: BackupInstanceId
    since: datetime
    until: datetime | None
    """None while it lasts."""

    def within(self, month: Month, now: datetime) -> timedelta:
        """How much of it lies in this month, up to now."""
        return max(min(self.until or now, month.end, now) - max(self.since, month.start), timedelta())


@dataclass(slots=True)
class Totals:
    """The outcomes of a vault, of a subscription, or of all."""

    heals: int = 0
    healed: int = 0
    healed_by_itself: int = 0
    recovered: int = 0
    not_recovered: int = 0
    longest_gap: timedelta | None = None
    attention: timedelta = timedelta()
    """How long its instances needed a person, all together."""

    @property
    def unhealed(self) -> int:
        """Heals that did not succeed; those that were cancelled or only observed are not counted."""
        return self.heals - self.healed

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        if outcome.status is Status.RECOVERED:
            self.recovered += 1
            self.longest_gap = max(filter(None, (self.longest_gap, outcome.gap)), default=None)
        elif outcome.status is Status.NOT_RECOVERED:
            self.not_recovered += 1
        elif outcome.status.is_result:
            self.heals += 1
            self.healed += outcome.status is Status.HEALED
            self.healed_by_itself += outcome.by_itself


@dataclass(frozen=True, slots=True)
class Report:
    """One month."""

    month: Month
    outcomes: Sequence[Outcome]
    """By the time of their end."""
    total: Totals
    subscriptions: Mapping[str, Totals]
    """By id in lower case."""
    vaults: Mapping[str, Totals]
    """By ARM id, in the casing of its first outcome."""


def outcomes_of(remediation: Remediation) -> Iterator[Outcome]:
    """The outcomes of a remediation that has ended: that of its heal, and that of its recovery if there was one."""
    if remediation.ended_at is None:
        return
    recovery, healed, needed = remediation.recovery, remediation.status.is_healed, remediation.needed_attention_since
    needed_nobody = needed is None or needed > remediation.ended_at
    heal = Outcome(
        remediation_id=remediation.id,
        instance=remediation.instance,
        status=Status.HEALED if healed else remediation.status,
        source=remediation.source,
        opened_at=remediation.opened_at,
        ended_at=remediation.ended_at,
        resolution=remediation.resolution,
        protection_state_before=remediation.protection_state_before,
        attempts=remediation.attempt.number,
        job_id=remediation.attempt.job_id,
        error_code=None if healed else _code(remediation),
        # With a recovery it may be learnt after this end: then the recovery's own outcome has it.
        point_before=None if recovery else remediation.latest_recovery_point_before,
        point=None,
        gap=None,
        by_itself=healed and remediation.source != REQUEST and needed_nobody,
    )
    yield heal
    if recovery and recovery.ended_at and remediation.status.ends_recovery:
        yield replace(
            heal,
            status=remediation.status,
            ended_at=recovery.ended_at,
            job_id=recovery.backup.job_id if recovery.backup else None,
            error_code=_code(remediation),
            point_before=recovery.point_before,
            point=recovery.point,
            gap=recovery.gap,
            by_itself=False,
        )


def attention_of(remediation: Remediation) -> Iterator[AttentionPeriod]:
    """The times in which a person was needed, as far as this remediation knows."""
    if remediation.needed_attention_since:
        yield AttentionPeriod(remediation.instance, remediation.needed_attention_since, remediation.ended_at)
    if remediation.attention:
        yield AttentionPeriod(remediation.instance, remediation.attention.since, None)


def within(period: Period, outcomes: Iterable[Outcome]) -> Sequence[Outcome]:
    """The outcomes of a period, by the time of their end."""
    ended = (outcome for outcome in outcomes if outcome.ended_at in period)
    return sorted(ended, key=lambda outcome: (outcome.ended_at, outcome.remediation_id, outcome.status))


def report_of(month: Month, remediations: Iterable[Remediation], now: datetime) -> Report:
    """The report about a month.

    Args:
        remediations: at least those of which something fell into it.
    """
    ended: list[Outcome] = []
    periods: dict[tuple[str, datetime], AttentionPeriod] = {}
    for each in remediations:
        ended += outcomes_of(each)
        for period in attention_of(each):
            # The need is carried from one remediation to the next, of which one has seen its end.
            key = (period.instance.key, period.since)
            known = periods.get(key)
            periods[key] = known if known and known.until else period
    outcomes = within(month, ended)
    total, subscriptions, vaults = Totals(), _Groups(lambda of: of.subscription_id.lower()), _Groups(_vault_of)
    for outcome in outcomes:
        for totals in (total, subscriptions.of(outcome.instance), vaults.of(outcome.instance)):
            totals.add(outcome)
    for period in periods.values():
        needed = period.within(month, now)
        if needed:
            for totals in (total, subscriptions.of(period.instance), vaults.of(period.instance)):
                totals.attention += needed
    return Report(month, outcomes, total, subscriptions.sorted(), vaults.sorted())


class _Groups:
    """Totals by a name that an instance belongs to, whatever its casing."""

    def __init__(self, name: Callable[[BackupInstanceId], str]) -> None:
        self._name = name
        self._found: dict[str, tuple[str, Totals]] = {}

    def of(self, instance: BackupInstanceId) -> Totals:
        name = self._name(instance)
        return self._found.setdefault(name.lower(), (name, Totals()))[1]

    def sorted(self) -> Mapping[str, Totals]:
        return {name: totals for _, (name, totals) in sorted(self._found.items())}


def _code(remediation: Remediation) -> str | None:
    return str(remediation.error.get("code")) if remediation.error else None


def _vault_of(instance: BackupInstanceId) -> str:
    return str(instance.vault_id)
