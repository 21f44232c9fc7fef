"""Whether the app can do its work now: the answer of `GET /api/health`.

Every part is asked at the same time and gets a few seconds, so that there is an answer even when all is broken. One
that still waits for an earlier probe is not asked again beside that. Cheap enough for a probe every 10 s: Resource
Manager is asked once a minute, and what is left are four point-like reads of a table and two of queues.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from shared import logs
from shared.clock import to_iso
from shared.domain.arm_results import Reachable, TransientFailure
from shared.storage.queues import SyncJobQueue
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS
from shared.version import VERSION

_TOO_LATE = timedelta(minutes=10)
"""An entry that is due for so long says that no tick runs."""
_PATIENCE = 5.0
"""Seconds until a part counts as silent."""
_GOOD_FOR = timedelta(seconds=60)
_BAD_FOR = timedelta(seconds=10)
"""How long the word about Resource Manager is believed."""

Part = dict[str, Any]
_OK = "ok"
_UNAVAILABLE = "unavailable"


@dataclass(slots=True)
class Health:
    """Asks each part that healing needs."""

    store: Callable[[], RemediationStore]
    jobs: Callable[[], SyncJobQueue]
    poison: Callable[[], SyncJobQueue]
    token: Callable[[], str]
    reach: Callable[[], Reachable | TransientFailure]
    """Asks Resource Manager something small."""
    now: Callable[[], datetime]
    _arm: tuple[datetime, Part] | None = None
    """The newest word about Resource Manager, and until when it is believed."""
    _asked: dict[str, Future[Part]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "health"))

    def check(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether all is well, and a document that says how each part is."""
        asked = self._ask()
        wait(asked.values(), _PATIENCE)
        checks = {name: _part(answer) for name, answer in asked.items()}
        healthy = all(check["status"] == _OK for check in checks.values())
        return healthy, {"status": _OK if healthy else _UNAVAILABLE, "version": VERSION, "checks": checks}

    def _ask(self) -> dict[str, Future[Part]]:
        parts = {
            "storage": self._storage,
            "queue": self._queue,
            "token": self._token,
            "resourceManager": self._resource_manager,
        }
        with self._lock:
            for name, ask in parts.items():
                if name not in self._asked or self._asked[name].done():
                    self._asked[name] = self._threads.submit(ask)
            return dict(self._asked)

    def _storage(self) -> Part:
        store, now = self.store(), self.now()
        entries = [entry.at for shard in SHARDS if (entry := store.soonest(shard)) is not None]
        overdue = min((at for at in entries if at <= now), default=None)
        if overdue is None:
            return {"status": _OK, "oldestOverdueAt": None, "overdueSeconds": 0}
        waits = now - overdue
        part = {"status": _OK, "oldestOverdueAt": to_iso(overdue), "overdueSeconds": int(waits.total_seconds())}
        if waits <= _TOO_LATE:
            return part
        reason = "a remediation is due for so long: does the timer poll_operations run, and end in time?"
        return {**part, "status": "late", "reason": reason}

    def _queue(self) -> Part:
        return {"status": _OK, "depth": self.jobs().depth(), "poisonDepth": self.poison().depth()}

    def _token(self) -> Part:
        self.token()
        return {"status": _OK}

    def _resource_manager(self) -> Part:
        if self._arm and self.now() < self._arm[0]:
            return self._arm[1]
        answer = self.reach()
        part: Part = {"checkedAt": to_iso(self.now())}
        if isinstance(answer, TransientFailure):
            part |= {"status": _UNAVAILABLE, "reason": f"{answer.error['code']}: {answer.error['message']}"[:500]}
        else:
            part |= {"status": _OK, "subscriptions": answer.subscriptions}
        if not isinstance(answer, TransientFailure) and answer.subscriptions == 0:
            part["reason"] = "the identity sees no subscription: it has no role yet"
        self._arm = (self.now() + (_GOOD_FOR if part["status"] == _OK else _BAD_FOR), part)
        return part


def _part(answer: Future[Part]) -> Part:
    """How a part is; whatever it met must not keep the others from being heard."""
    if not answer.done():
        return {"status": _UNAVAILABLE, "reason": f"no answer within {_PATIENCE:.0f} s"}
    failure = answer.exception()
    if failure is not None:
        return {"status": _UNAVAILABLE, "reason": logs.describe_exception(failure)}
    return answer.result()
