"""What this process has read or stored lately, so that the next look need not read it again.

Nothing here is believed: whatever a look makes of it is stored only if the row still has the ETag that is
remembered. A host that dies, or whose neighbour goes on with the work, loses time and nothing else.
"""

from collections.abc import Collection
from threading import Lock

from shared.remediation import Remediation, Status
from shared.rows import SHARDS, Change, DueEntry, Stored, shard_of

_MOST_PER_SHARD = 4_000
"""As many as a tick reads. A process whose timer runs elsewhere remembers for nothing, and not without end."""

POLLED = frozenset({Status.RUNNING, Status.VERIFYING})
"""What is looked at again and again until it ends."""


class Memory:
    """Remediations that were read or stored, each with how far looks have got since without storing it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[str, dict[str, Change]] = {shard: {} for shard in SHARDS}
        self._turns = {shard: Lock() for shard in SHARDS}

    def turn(self, shard: str) -> Lock:
        """Held by the one tick of this process that works on the shard."""
        return self._turns[shard]

    def keep(self, stored: Stored, current: Remediation) -> None:
        """Remember a row, and how the remediation stands by now, if it is polled; the rest is due too seldom."""
        known = self._known[shard_of(current.id)]
        if current.status not in POLLED:
            known.pop(current.id, None)
            return
        known[current.id] = Change(stored, current)
        if len(known) > _MOST_PER_SHARD:
            known.pop(next(iter(known)), None)

    def recall(self, entry: DueEntry) -> Change | None:
        """What is known of the entry's remediation; None too if another entry stood for it when it was read.

        Others may have moved the entry since: then what is remembered says nothing of this one.
        """
        change = self._known[shard_of(entry.remediation_id)].get(entry.remediation_id)
        return change if change and change.stored.names(entry) else None

    def forget(self, remediation_id: str) -> None:
        """It is about to be stored, or it was changed by others."""
        self._known[shard_of(remediation_id)].pop(remediation_id, None)

    def forget_others(self, shard: str, due: Collection[str]) -> None:
        """What is remembered and due no more was ended by others."""
        for remediation_id in [one for one in tuple(self._known[shard]) if one not in due]:
            self.forget(remediation_id)
