"""Records that the timers ran, and what the sweep can see. No run fails because its record could not be stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.resource_graph import QueryFailed
from shared.domain.arm_results import TransientFailure
from shared.domain.coverage import Coverage, coverage_of
from shared.storage.run_store import LastSweep, RunStore

_COUNT_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class CoverageReader:
    """Asks Azure what is watched: two requests to each sweep, and more only where there are many subscriptions."""

    count: Callable[[datetime], int]
    names: Callable[[], Mapping[str, str] | TransientFailure]
    wanted: Sequence[str]
    """Ids of the subscriptions that are to be swept, in lower case; empty for all that can be read."""
    now: Callable[[], datetime]

    def __call__(self) -> Coverage:
        """The subscriptions that are watched and their backup instances, as far as Azure says."""
        names = self.names()
        if isinstance(names, TransientFailure):
            logs.warning("coverage.unknown", error=names.error)
            return coverage_of(self.wanted, None, self._count())
        coverage = coverage_of(self.wanted, names, self._count())
        if coverage.refused:
            logs.warning("coverage.refused", count=coverage.refused_count, subscriptions=coverage.refused[:10])
        return coverage

    def _count(self) -> int | None:
        try:
            return self.count(self.now() + _COUNT_TIMEOUT)
        except QueryFailed as failed:
            logs.warning("coverage.unknown", error=failed.result.error)
            return None


@dataclass(frozen=True, slots=True)
class RunRecords:
    """Stores the records."""

    store: RunStore
    coverage: Callable[[], Coverage]
    now: Callable[[], datetime]

    def poll_run(self, due: int, polled: int) -> None:
        """A poll run over all shards has ended."""
        _record("poll", lambda: self.store.put_poll_run(due, polled))

    def sweep(self, opened: int, skipped: int) -> None:
        """A sweep has ended."""
        coverage = self.coverage()
        _record("sweep", lambda: self.store.put_sweep(LastSweep(self.now(), opened, skipped, coverage)))

    def failed_sweep(self, reason: str) -> None:
        """Resource Graph did not say which instances are broken; what the last good sweep saw stays known."""

        def record() -> None:
            last = self.store.last_sweep() or LastSweep()
            self.store.put_sweep(replace(last, failed_at=self.now(), failure=reason))

        _record("sweep", record)


def _record(run: str, record: Callable[[], None]) -> None:
    try:
        record()
    except AzureError as failure:
        logs.warning("run.not_recorded", run=run, reason=logs.describe_exception(failure))
