"""Health checks of the parts that healing needs: storage, queues, token, Resource Manager.

All parts are checked at the same time, each within a few seconds, so that there is a response even when all is broken.
A check that still waits since an earlier probe is not started again beside that. Cheap enough for a probe every 10 s:
Resource Manager is asked once a minute, and what is left are eight point-like reads of a table and two of queues.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any

from shared import logs
from shared.api.principal import Platform
from shared.clock import to_iso
from shared.domain.arm_results import Reachable, TransientFailure
from shared.domain.duration_text import duration_text
from shared.domain.mode import Mode
from shared.storage.bucket_store import BucketStore
from shared.storage.finding_store import FindingStore
from shared.storage.queues import SyncJobQueue
from shared.storage.remediation_store import RemediationStore
from shared.storage.run_store import LastSweep, RunStore
from shared.storage.table_rows import SHARDS
from shared.version import VERSION

_MAX_OVERDUE = timedelta(minutes=10)
"""A remediation that is due for longer than that says that no poll run takes place."""
_MAX_POLL_RUN_AGE = timedelta(minutes=10)
"""Likewise, where nothing is due."""
PART_TIMEOUT = 5.0
"""Seconds for all parts together, which are asked at the same time."""
_REACHABLE_FOR = timedelta(seconds=60)
_UNREACHABLE_FOR = timedelta(seconds=10)
"""How long the last result for Resource Manager is used again."""

_MAX_CHECKS = 8
"""As many threads: where storage keeps silent, the checks that do without it must not wait behind those."""

Part = dict[str, Any]
_OK = "ok"
_DEGRADED = "degraded"
"""It works, but for what its check names: no reason to take the host out of service."""
_UNAVAILABLE = "unavailable"


@dataclass(slots=True)
class Health:
    """Checks each part that healing needs."""

    store: Callable[[], RemediationStore]
    buckets: Callable[[], BucketStore]
    jobs: Callable[[], SyncJobQueue]
    poison: Callable[[], SyncJobQueue]
    token: Callable[[], str]
    reach: Callable[[], Reachable | TransientFailure]
    """Asks Resource Manager something small."""
    now: Callable[[], datetime]
    mode: Mode
    runs: Callable[[], RunStore]
    findings: Callable[[], FindingStore] | None = None
    """None if `STALE_AFTER` is off."""
    sign_in: Platform | None = None
    """None if `SIGN_IN` is off."""
    _arm: tuple[datetime, Part] | None = None
    """The last result for Resource Manager, after the time until which it is used again."""
    _checks: dict[str, Future[Part]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_MAX_CHECKS, "health"))

    def check(self, timeout: float) -> tuple[bool, Mapping[str, Any]]:
        """Whether all parts are well, and the response's document; a part that gives no answer by then is not."""
        running = self._start()
        wait(running.values(), timeout)
        checks = {name: _result(check, timeout) for name, check in running.items()}
        found = {check["status"] for check in checks.values()}
        healthy = found <= {_OK, _DEGRADED}
        status = (_DEGRADED if _DEGRADED in found else _OK) if healthy else _UNAVAILABLE
        return healthy, {"status": status, "mode": self.mode, "version": VERSION, "checks": checks}

    def _start(self) -> dict[str, Future[Part]]:
        checks = {
            "storage": self._storage,
            "queue": self._queue,
            "token": self._token,
            "resourceManager": self._resource_manager,
            "poller": self._poller,
            "sweep": self._sweep,
        }
        if self.findings:
            checks["findings"] = partial(_findings, self.findings)
        if self.sign_in:
            checks["signIn"] = partial(_sign_in, self.sign_in)
        with self._lock:
            for name, check in checks.items():
                if name not in self._checks or self._checks[name].done():
                    self._checks[name] = self._threads.submit(check)
            return dict(self._checks)

    def _storage(self) -> Part:
        store, now = self.store(), self.now()
        self.buckets().check()
        corrupt = store.corrupt_rows.count()
        entries = [entry.at for shard in SHARDS if (entry := store.soonest(shard)) is not None]
        overdue = min((at for at in entries if at <= now), default=None)
        waits = now - (overdue or now)
        part: Part = {
            "status": _OK,
            "oldestOverdueAt": to_iso(overdue) if overdue else None,
            "overdueSeconds": int(waits.total_seconds()),
            "corruptRows": corrupt,
        }
        if waits > _MAX_OVERDUE:
            late = f"a remediation has been due for {duration_text(waits)}"
            reason = f"{late}: check that the timer function poll_operations runs and ends"
            return {**part, "status": "late", "reason": reason}
        if corrupt:
            reason = (
                "rows that cannot be read were met within a day: see remediation.corrupt and row.corrupt in the log"
            )
            return {**part, "status": _DEGRADED, "reason": reason}
        return part

    def _queue(self) -> Part:
        return {"status": _OK, "depth": self.jobs().depth(), "poisonDepth": self.poison().depth()}

    def _token(self) -> Part:
        self.token()
        return {"status": _OK}

    def _poller(self) -> Part:
        last = self.runs().last_poll_run()
        if last is None:
            return {"status": _OK, "lastRunAt": None}
        part: Part = {"status": _OK, "lastRunAt": to_iso(last.at), "due": last.due, "polled": last.polled}
        if self.now() - last.at > _MAX_POLL_RUN_AGE:
            return {**part, "status": _DEGRADED, "reason": "no poll run has ended for minutes: does the timer run?"}
        return part

    def _sweep(self) -> Part:
        last = self.runs().last_sweep()
        return _sweep_part(last) if last else {"status": _OK, "lastRunAt": None}

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
        self._arm = (self.now() + (_REACHABLE_FOR if part["status"] == _OK else _UNREACHABLE_FOR), part)
        return part


def _sweep_part(last: LastSweep) -> Part:
    """The last sweep, and what it could see: no reason to take a host out of service."""
    seen = last.coverage
    part: Part = {
        "status": _OK,
        "lastRunAt": to_iso(last.at) if last.at else None,
        "opened": last.opened,
        "skipped": last.skipped,
        "failedAt": to_iso(last.failed_at) if last.failed_at else None,
        "instances": seen.instances,
        "subscriptions": {
            "watched": seen.watched,
            "readable": seen.readable,
            "refusedCount": seen.refused_count,
            "refused": list(seen.refused),
        },
    }
    if last.failed_at:
        return {**part, "status": _DEGRADED, "reason": f"the last sweep failed: {last.failure}"}
    if seen.refused_count:
        reason = "the identity cannot read all subscriptions of SWEEP_SUBSCRIPTIONS: it has no role there"
        return {**part, "status": _DEGRADED, "reason": reason}
    return part


def _findings(store: Callable[[], FindingStore]) -> Part:
    """How many the last search found: they are no reason to take the app for ill."""
    summary = store().summary()
    if summary is None:
        return {"status": _OK, "count": None, "searchedAt": None}
    searched_at = to_iso(summary.searched_at)
    counts = {"count": summary.count, "byKind": summary.by_kind, "complete": summary.is_complete}
    return {"status": _OK, "searchedAt": searched_at, **counts}


def _sign_in(platform: Platform) -> Part:
    """Healing does without it: no reason to take a host out of service."""
    return {"status": _DEGRADED, "reason": platform.problem} if platform.problem else {"status": _OK}


def _result(check: Future[Part], timeout: float) -> Part:
    """The result of a check; an exception of one part must not keep the others from being shown."""
    if not check.done():
        return {"status": _UNAVAILABLE, "reason": f"no answer within {timeout:.0f} s"}
    failure = check.exception()
    if failure is not None:
        return {"status": _UNAVAILABLE, "reason": logs.describe_exception(failure)}
    return check.result()
