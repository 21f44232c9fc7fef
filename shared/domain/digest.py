"""The digest: what was healed and recovered since the last one, and what needs attention now. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from shared.domain.duration_text import duration_text
from shared.domain.error_codes import NEEDING_PERSON, ErrorCodes
from shared.domain.remediation import Remediation, Resolution, Status
from shared.domain.resource_ids import BackupInstanceId, fold
from shared.domain.signal import REQUEST
from shared.domain.summary import Summary, needs_attention

MAX_NAMED = 10
"""Instances that the text names."""


class DigestFigures(Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of a digest."""

    since: datetime
    until: datetime
    healed: int
    """Remediations that repaired their instance."""
    healed_without_person: int
    """Of these, the ones that nobody asked for, and whose instance needed nobody."""
    recovered: int
    not_recovered: int
    hours_without_recovery_point: float
    """Of those that recovered, added up."""
    longest_hours_without_recovery_point: float
    needs_attention: int
    """Instances, at its end."""

    @property
    def headline(self) -> str:
        """The most important of it, in one line."""
        parts = [f"{self.healed_without_person} healed without a person"]
        if self.recovered:
            parts.append(f"{self.recovered} recovered")
        if self.not_recovered:
            parts.append(f"{self.not_recovered} not recovered")
        need = "needs" if self.needs_attention == 1 else "need"
        return f"Digest: {', '.join(parts)}, {self.needs_attention} {need} attention"

    @property
    def period(self) -> str:
        """`28 Nov 07:00 to 29 Nov 07:00 UTC`."""
        return f"{self.since:%d %b %H:%M} to {self.until:%d %b %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Digest:
    """The figures, and the instances that need attention, the latest first."""

    figures: DigestFigures
    needing: Sequence[Summary]

    @property
    def text(self) -> str:
        """All figures in lines."""
        figures = self.figures
        lines = [f"Healed: {figures.healed}, of these without a person: {figures.healed_without_person}."]
        if figures.recovered or figures.not_recovered:
            total, longest = (
                duration_text(timedelta(hours=hours))
                for hours in (figures.hours_without_recovery_point, figures.longest_hours_without_recovery_point)
            )
            lines.append(f"Backups that are back: {figures.recovered}; still missing: {figures.not_recovered}.")
            if figures.recovered:
                lines.append(f"Without a recovery point: {total} in all, the longest {longest}.")
        lines.append(f"Needs attention: {figures.needs_attention}.")
        lines += [f"- {_line(each)}" for each in self.needing[:MAX_NAMED]]
        others = len(self.needing) - MAX_NAMED
        return "\n".join([*lines, f"and {others} more"] if others > 0 else lines)


def digest_of(
    summaries: Sequence[Summary],
    recoveries: Sequence[Remediation],
    since: datetime,
    until: datetime,
    error_codes: ErrorCodes,
    in_scope: Callable[[str], bool],
) -> Digest:
    """The digest of what ended from `since` until before `until`.

    Args:
        summaries: of all remediations, newest first.
        recoveries: at least the remediations whose recovery ended in this time.
        in_scope: whether the app is to heal the instance with this ARM id.
    """
    healed = [
        (each, before)
        for each, before in _with_predecessors(summaries)
        if _is_repaired(each) and each.ended_at is not None and since <= each.ended_at < until
    ]
    ended = [(one.status, one.recovery) for one in recoveries if one.status.ends_recovery and one.recovery]
    ended = [(status, each) for status, each in ended if each.ended_at and since <= each.ended_at < until]
    gaps = [each.gap.total_seconds() / 3600 for status, each in ended if status is Status.RECOVERED and each.gap]
    needing = needs_attention(summaries, until, in_scope)
    recovered = sum(status is Status.RECOVERED for status, _ in ended)
    figures = DigestFigures(
        since=since,
        until=until,
        healed=len(healed),
        healed_without_person=sum(_needed_nobody(each, before, error_codes) for each, before in healed),
        recovered=recovered,
        not_recovered=len(ended) - recovered,
        hours_without_recovery_point=round(sum(gaps), 1),
        longest_hours_without_recovery_point=round(max(gaps, default=0.0), 1),
        needs_attention=len(needing),
    )
    return Digest(figures, needing)


def _with_predecessors(summaries: Sequence[Summary]) -> list[tuple[Summary, Summary | None]]:
    """Each remediation, and the one before it of the same instance."""
    before: dict[str, Summary] = {}
    pairs = []
    for each in reversed(summaries):
        instance = fold(each.instance)
        pairs.append((each, before.get(instance)))
        before[instance] = each
    return pairs


def _is_repaired(summary: Summary) -> bool:
    return summary.status.is_healed and summary.resolution is not Resolution.NOTHING_TO_REPAIR


def _needed_nobody(healed: Summary, before: Summary | None, error_codes: ErrorCodes) -> bool:
    """Whether nobody asked for it, and neither its last error nor the remediation before it called for a person."""
    code = healed.azure_code
    met_persons = code is not None and error_codes.class_of({"code": code, "message": ""}) in NEEDING_PERSON
    was_needed = before is not None and before.status.is_unhealed
    return healed.source != REQUEST and not met_persons and not was_needed


def _line(summary: Summary) -> str:
    instance = BackupInstanceId.parse(summary.instance)
    code = f": {summary.code[:80]}" if summary.code else ""
    return f"{instance.name[:60]} in vault {instance.vault[:60]}{code}"
