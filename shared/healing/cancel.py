"""Cancel: an operator ends a remediation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain import lifecycle
from shared.domain.remediation import Remediation
from shared.healing.recorder import Recorder
from shared.storage.conflicts import retry_on_conflict
from shared.storage.remediation_store import RemediationStore


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancels remediations."""

    store: RemediationStore
    recorder: Recorder
    now: Callable[[], datetime]

    def run(self, remediation_id: str, reason: str, by: str | None = None) -> Remediation | None:
        """Stop a remediation at any status that is not terminal; an ended one is returned as it is.

        Args:
            by: who asked for it, as they signed in.

        Returns:
            The remediation as it is now; None if there is none with this id.

        Raises:
            CorruptDocument: its record cannot be read.
            WriteConflict: others kept changing it.
        """
        return retry_on_conflict(lambda: self._cancel(remediation_id, reason, by))

    def _cancel(self, remediation_id: str, reason: str, by: str | None) -> Remediation | None:
        stored = self.store.load(remediation_id)
        if stored is None or stored.remediation.status.is_terminal:
            return stored.remediation if stored else None
        return self.recorder.save(stored, lifecycle.cancel(stored.remediation, reason, self.now(), by))
