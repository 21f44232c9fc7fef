"""First attempts under an open incident: a new signal for one more instance waits for the canaries, too."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain.incident import Incident, holds_first_attempts
from shared.domain.lifecycle import hold_first_attempt
from shared.domain.policy import Policy
from shared.domain.protection_state import VALID
from shared.domain.remediation import Remediation
from shared.domain.signal import REQUEST, Signal
from shared.storage.incident_store import IncidentStore

_MAX_AGE = timedelta(seconds=30)
"""Of what is known of open incidents: a storm lasts for minutes, and signals are many."""


HoldFirst = Callable[[Remediation, Signal], Remediation]
"""The remediation that a signal is about to open, held back if it is to wait."""


def never_held(opening: Remediation, signal: Signal) -> Remediation:
    """No first attempt is held back."""
    return opening


class _Known(NamedTuple):
    incidents: tuple[Incident, ...]
    read_at: datetime


@dataclass(slots=True)
class FirstHolds:
    """Holds first attempts back. What storage does not tell holds nobody back."""

    store: IncidentStore
    policy: Policy
    canary_timeout: timedelta
    now: Callable[[], datetime]
    _known: _Known | None = field(default=None, init=False)

    def __call__(self, opening: Remediation, signal: Signal) -> Remediation:
        """The remediation that this signal is about to open; held back, if it falls under an open incident."""
        # Who asks wants it now, and what is well needs no sync.
        if signal.source == REQUEST or signal.is_forced or signal.protection_state == VALID:
            return opening
        try:
            known = next(filter(lambda each: self._holds(each, signal), self._open_incidents()), None)
            stored = self.store.load(known.id) if known else None
        except AzureError as failure:
            logs.warning("incidents.unreadable", reason=logs.describe_exception(failure))
            return opening
        # Read once more: it may have been released in the seconds for which it was remembered.
        if stored is None or not self._holds(stored.incident, signal):
            return opening
        begins, most = opening.attempt.queued_at, self.policy.first_hold(stored.incident.code)
        until = min(stored.incident.opened_at + self.canary_timeout, begins + most) if most else begins
        return hold_first_attempt(opening, stored.incident.id, until, self.now()) if until > begins else opening

    def _holds(self, known: Incident, signal: Signal) -> bool:
        return holds_first_attempts(known, signal.instance, self.canary_timeout, self.now())

    def _open_incidents(self) -> tuple[Incident, ...]:
        now = self.now()
        if self._known is None or now - self._known.read_at >= _MAX_AGE:
            self._known = _Known(tuple(each.incident for each in self.store.attended()), now)
        return self._known.incidents
