"""A host of the simulation: the use cases in one process, and how it reaches what is outside of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast

from azure.data.tables import TableClient

from shared.domain.incident import Incident, IncidentEvent
from shared.domain.remediation import Remediation
from shared.healing.sweep import Sweep
from shared.rate_limits.rate_limiter import Gcra, RateLimiter, _Limit
from shared.storage.bucket_store import BucketStore
from shared.storage.remediation_store import RemediationStore
from tests.simulation.azure import Topic
from tests.simulation.queue import Message
from tests.simulation.scheduler import Scheduler, Step, SwitchingLock
from tests.support.host import Host
from tests.support.memory_table import MemoryTable


class Limits(NamedTuple):
    """Of calls to Resource Manager in a subscription."""

    writes: Gcra = Gcra(burst=200, rate=10)
    reads: Gcra = Gcra(burst=250, rate=25)


class _Limiter(RateLimiter):
    """The rate limiter, with locks whose waiters let others go on."""

    def __init__(self, scheduler: Scheduler, kind: str, gcra: Gcra, buckets: BucketStore, now: Any) -> None:
        super().__init__(kind, gcra, buckets, now)
        self._scheduler = scheduler

    def _limit(self, subscription_id: str) -> _Limit:
        fresh = _Limit(lock=cast(Any, SwitchingLock(self._scheduler)))
        return self._limits.setdefault(subscription_id.lower(), fresh)


class StorageClient:
    """The table as Azure's SDK reaches it: a request whose answer gets lost is made again, and finds its own work."""

    def __init__(self, table: MemoryTable, loses_answer: Callable[[], bool]) -> None:
        self._table = table
        self._loses_answer = loses_answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def create_entity(self, entity: Mapping[str, Any], **options: Any) -> Any:
        return self._perhaps_twice(lambda: self._table.create_entity(entity, **options))

    def update_entity(self, entity: Mapping[str, Any], *mode: Any, **options: Any) -> Any:
        return self._perhaps_twice(lambda: self._table.update_entity(entity, *mode, **options))

    def submit_transaction(self, operations: Any, **options: Any) -> Any:
        wanted = list(operations)
        return self._perhaps_twice(lambda: self._table.submit_transaction(wanted, **options))

    def _perhaps_twice(self, request: Callable[[], Any]) -> Any:
        answer = request()
        return request() if self._loses_answer() else answer


class LaterVersion:
    """The table as a later version of the app writes it: its documents have a field that this version does not know."""

    def __init__(self, table: StorageClient) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def create_entity(self, entity: Mapping[str, Any], **options: Any) -> Any:
        return self._table.create_entity(_later(entity), **options)

    def update_entity(self, entity: Mapping[str, Any], *mode: Any, **options: Any) -> Any:
        return self._table.update_entity(_later(entity), *mode, **options)

    def submit_transaction(self, operations: Any, **options: Any) -> Any:
        return self._table.submit_transaction(
            ((kind, _later(row), *rest) for kind, row, *rest in operations), **options
        )


@dataclass(eq=False)
class SimulatedHost:
    """A process, and what the runtime does in it."""

    name: str
    skew: float
    app: Host = field(init=False)
    sweep: Sweep = field(init=False)
    died_at: float | None = None
    is_slow: bool = False
    is_alive: bool = True
    takes_jobs: bool = True
    is_polling: bool = False
    busy_until: float = 0.0
    """Its processor has work until then (`World.request_seconds`)."""
    dies_in: int = -1
    """Requests until it is killed; negative: it is not."""
    jobs: dict[Step, Message] = field(default_factory=dict)
    steps: set[Step] = field(default_factory=set)


class HostTopic:
    """The topic as one host reaches it."""

    def __init__(self, topic: Topic, turn: Callable[[], None]) -> None:
        self._topic = topic
        self._turn = turn

    def publish(self, ended: Sequence[Remediation]) -> None:
        self._turn()
        self._topic.publish(ended)
        self._turn()

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        self._turn()
        self._topic.publish_incident(incident, event)
        self._turn()


def storage_parts(scheduler: Scheduler, table: object, limits: Limits, now: Callable[[], datetime]) -> dict[str, Any]:
    """The clients of storage that a host has."""
    client = cast(TableClient, table)
    buckets = BucketStore(client, now)
    return {
        "store": RemediationStore(client, now),
        "write_limit": _Limiter(scheduler, "writes", limits.writes, buckets, now),
        "read_limit": _Limiter(scheduler, "reads", limits.reads, buckets, now),
    }


def _later(entity: Mapping[str, Any]) -> Mapping[str, Any]:
    text = entity.get("Document0", "")
    if not text or '"laterField"' in text:
        return entity
    return {**entity, "Document0": f'{{"laterField":[1],{text[1:]}'}
