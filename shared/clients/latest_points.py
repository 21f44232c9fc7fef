"""Cache of the newest recovery point of each instance, as Azure Resource Graph knows it: one query for a subscription.

Resource Graph is some minutes behind, and costs nothing of the subscription's reads: it says when a look at the
recovery points themselves is worth a call ("Query your resources with Azure Resource Graph", table
`recoveryservicesresources`; `recoveryPointInfo` as recordings of the portal's queries show it).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock, Semaphore

from shared import logs
from shared.clients.resource_graph import ResourceGraph
from shared.clock import from_iso
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId

QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupinstances'"
    " | extend latestPoint = tostring(properties.backupInstanceExtendedProperties.recoveryPointInfo"
    ".latestRecoveryPointInPrimaryRegion)"
    " | project id, latestPoint"
    " | order by id asc"
)
_MAX_AGE = timedelta(minutes=4)
"""Below the shortest time between two looks at a recovery."""
_QUERY_TIMEOUT = timedelta(seconds=10)
_MAX_INSTANCES = 300_000
"""Kept, of all subscriptions together: about 100 MB."""
_MAX_QUERIES = 4
"""At once: Resource Graph lets a principal ask 15 times in 5 s."""
_NO_YEAR = 1
"""`0001-01-01` means that there is no recovery point."""


@dataclass(frozen=True, slots=True)
class _Entry:
    points: Mapping[BackupInstanceId, datetime] | None
    """None: Resource Graph did not say."""
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class LatestPointCache:
    """Asks Resource Graph. One query of a subscription at a time: whoever waits finds the answer there."""

    graph: ResourceGraph
    now: Callable[[], datetime]
    _entries: dict[str, _Entry] = field(default_factory=dict, init=False)
    """The newest last."""
    _asking: dict[str, Lock] = field(default_factory=dict, init=False)
    """By subscription; held while it is asked about."""
    _queries: Semaphore = field(default_factory=lambda: Semaphore(_MAX_QUERIES), init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def newest(self, instance: BackupInstanceId) -> datetime | None:
        """The newest recovery point of the instance; None where Resource Graph does not say."""
        subscription_id = instance.subscription_id.lower()
        entry = self._fresh(subscription_id)
        if entry is None:
            with self._lock:
                asking = self._asking.setdefault(subscription_id, Lock())
            with asking:
                entry = self._fresh(subscription_id) or self._renew(subscription_id)
        return entry.points.get(instance) if entry.points is not None else None

    def _fresh(self, subscription_id: str) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(subscription_id)
        return entry if entry and self.now() - entry.asked_at < _MAX_AGE else None

    def _renew(self, subscription_id: str) -> _Entry:
        with self._queries:
            entry = _Entry(self._ask(subscription_id), self.now())
        with self._lock:
            self._entries.pop(subscription_id, None)
            self._entries[subscription_id] = entry
            kept = sum(len(each.points or ()) for each in self._entries.values())
            for oldest in list(self._entries)[:-1]:
                if kept <= _MAX_INSTANCES:
                    break
                kept -= len(self._entries.pop(oldest).points or ())
        return entry

    def _ask(self, subscription_id: str) -> Mapping[BackupInstanceId, datetime] | None:
        rows = self.graph.rows(QUERY, subscription_id, self.now() + _QUERY_TIMEOUT)
        if not isinstance(rows, list):
            logs.warning("recovery.graph_silent", subscriptionId=subscription_id, error=rows.error)
            return None
        return dict(filter(None, map(read_row, rows)))


def read_row(row: object) -> tuple[BackupInstanceId, datetime] | None:
    """Read one row, `{"id", "latestPoint"}`; None where it names no instance or no point."""
    if not isinstance(row, Mapping) or not isinstance(row.get("latestPoint"), str):
        return None
    try:
        instance, point = BackupInstanceId.parse(row.get("id")), from_iso(row["latestPoint"].strip())
    except (InvalidResourceId, ValueError, OverflowError):
        return None
    return (instance, point) if point.year > _NO_YEAR else None
