"""Acknowledge: an operator knows that an instance needs a person, and is not to be reminded for a while."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared import logs
from shared.domain.attention import Acknowledgement, acknowledged
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.recorder import Recorder
from shared.storage.conflicts import retry_on_conflict
from shared.storage.remediation_store import RemediationStore


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Acknowledges instances."""

    store: RemediationStore
    recorder: Recorder
    now: Callable[[], datetime]

    def run(self, instance: BackupInstanceId, by: str, reason: str, until: datetime) -> Remediation | None:
        """Note at the instance's latest remediation who knows of it, why, and until when; a later note replaces it.

        Returns:
            The latest remediation; without an acknowledgement if the instance needs nobody. None if it never had one.

        Raises:
            CorruptDocument: the record of that remediation cannot be read.
            WriteConflict: others kept changing it.
        """
        return retry_on_conflict(lambda: self._acknowledge(instance, by, reason, until))

    def _acknowledge(self, instance: BackupInstanceId, by: str, reason: str, until: datetime) -> Remediation | None:
        pointer = self.store.latest_pointer(instance)
        stored = self.store.load(pointer.remediation_id) if pointer else None
        if pointer is None or stored is None or stored.remediation.attention is None:
            return stored.remediation if stored else None
        note = Acknowledgement(at=self.now(), by=by, reason=reason, until=until)
        noted = self.recorder.save(stored, acknowledged(stored.remediation, note))
        # Whoever opens the next remediation may have read the latest one before this: the pointer has it read anew.
        self.store.touch(pointer)
        logs.info(
            "attention.acknowledged",
            remediationId=noted.id,
            backupInstanceId=str(instance),
            reason=reason,
            until=until,
        )
        return noted
