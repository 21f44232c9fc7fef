"""Stores one step of a remediation by compare-and-swap, and logs it."""

from dataclasses import dataclass

from shared import logs
from shared.domain import announcements
from shared.domain.remediation import Remediation
from shared.healing.incidents import Incidents
from shared.healing.poll_cache import PollCache
from shared.healing.transition_log import log_transitions
from shared.healing.wake import note_waiting
from shared.storage.conflicts import WriteConflict
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Change, Stored


@dataclass(frozen=True, slots=True)
class Recorder:
    """Stores the steps that triggers make; a poll run stores many at once (`poller`)."""

    store: RemediationStore
    cache: PollCache
    incidents: Incidents
    announces: bool
    """Whether there is a topic for outcomes."""

    def save(self, stored: Stored, after: Remediation) -> Remediation:
        """Store the remediation as it is after a step; returns it as it is stored.

        Raises:
            WriteConflict: another writer changed it since it was read.
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        [joined] = self.incidents.join([Change(stored, after)])
        step = joined.after if self.announces else announcements.skip_announcement(joined.after)
        note_waiting(self.store, [(stored.remediation, step)])
        try:
            saved = self.store.save(stored, step)
        except WriteConflict:
            logs.info("write.conflict", remediationId=after.id)
            raise
        log_transitions(stored.remediation, step)
        self.cache.keep(saved, saved.remediation)
        return saved.remediation
