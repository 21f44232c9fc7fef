"""Whether a signal opens a remediation. Pure: what is known is passed in."""

from dataclasses import dataclass

from shared.remediation import Remediation
from shared.signals import Signal


@dataclass(frozen=True, slots=True)
class Open:
    """Nobody heals this instance: begin."""


@dataclass(frozen=True, slots=True)
class Coalesce:
    """Somebody heals this instance: count the signal there."""

    active: Remediation


@dataclass(frozen=True, slots=True)
class Drop:
    """The signal tells nothing new."""

    reason: str


Verdict = Open | Coalesce | Drop


def judge(signal: Signal, latest: Remediation | None) -> Verdict:
    """Decide about a signal, given the instance's latest remediation (None: it never had one)."""
    if latest is None:
        return Open()
    if not latest.status.is_terminal:
        return Coalesce(latest)
    if signal.occurred_at <= latest.opened_at:
        # Event Grid repeats and reorders for up to 24 hours; what failed before that remediation began, it has seen.
        return Drop(f"older than the start of remediation {latest.id}, which ended {latest.status}")
    return Open()
