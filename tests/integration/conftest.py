"""The app on real storage and a simulated Resource Manager, with a clock to be set."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import requests
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from shared.clients.arm import ArmClient
from shared.clients.arm_backups import ArmBackups
from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import TokenCache, managed_identity
from shared.clients.latest_points import LatestPointCache
from shared.clients.outcome_topic import OutcomeTopic
from shared.clients.resource_graph import ResourceGraph
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.intake import Dropped
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.settings import Settings
from shared.storage.backup_slots import BackupSlots
from shared.storage.bucket_store import BucketStore
from shared.storage.queues import ShardQueue, SyncJobQueue
from shared.storage.remediation_store import RemediationStore
from tests.support.host import Host
from tests.support.simulator import ARM_AUDIENCE, Simulator

INSTANCE = BackupInstanceId("04cf684a-d41f-4550-9f70-7708a3a2283b", "testRG", "testVault", "testBI")
FAST = {"operationSeconds": 0, "retryAfter": 0}
"""An operation that has ended when it is first polled."""


class Clock:
    """Real time, until a test moves it on."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, **duration: float) -> None:
        self._ahead += timedelta(**duration)


@dataclass(frozen=True)
class App:
    """One host of the app, on storage of this test's own."""

    host: Host
    arm: ArmClient
    tokens: TokenCache
    queue: QueueClient
    shard_queue: QueueClient
    table: TableClient
    clock: Clock
    azure: Simulator

    def signal(self, instance: BackupInstanceId = INSTANCE, **changes: object) -> Signal:
        return replace(Signal(instance, "Event", "backup failed", self.clock()), **changes)  # type: ignore[arg-type] # named by each test

    def open(self, instance: BackupInstanceId = INSTANCE, **changes: object) -> Remediation:
        """A signal has come, its job is still to be carried out."""
        result = self.host.intake.accept(self.signal(instance, **changes))
        assert not isinstance(result, Dropped)
        return result.remediation

    def submit(self, remediation: Remediation, attempt: int = 1) -> None:
        """The queue delivers the job."""
        self.host.submit.run(f'{{"v":1,"remediationId":"{remediation.id}","attempt":{attempt}}}')

    def started(self, **behaviour: object) -> Remediation:
        """An instance fails, and its sync call has been answered."""
        self.azure.put(str(INSTANCE), behaviour={**FAST, **behaviour})
        opened = self.open()
        self.submit(opened)
        return opened

    def now(self, remediation: Remediation) -> Remediation:
        """How it stands in storage."""
        stored = self.host.store.load(remediation.id)
        assert stored is not None
        return stored.remediation

    def jobs(self) -> list[str]:
        """The texts of the jobs that are visible."""
        return [message.content for message in self.queue.receive_messages(visibility_timeout=1)]

    def shard_jobs(self) -> list[str]:
        """The texts of the shard jobs."""
        return [message.content for message in self.shard_queue.receive_messages(visibility_timeout=1)]

    def all_jobs(self) -> int:
        """How many jobs there are, delayed ones included."""
        return self.queue.get_queue_properties().approximate_message_count or 0

    def calls(self) -> list[str]:
        """The kinds of calls that Resource Manager got so far."""
        kinds = ("sync", "operationStatus", "operationResults", "instance", "other")
        return [entry["kind"] for entry in self.azure.journal(*kinds)]


AppMaker = Callable[..., App]


@pytest.fixture
def table(connection_string: str) -> Iterator[TableClient]:
    """A table of this test's own."""
    service = TableServiceClient.from_connection_string(connection_string)
    with service.create_table(f"test{uuid4().hex}") as table:
        yield table
        table.delete_table()


def queue_client(connection_string: str, name: str) -> QueueClient:
    return QueueClient.from_connection_string(
        connection_string,
        name,
        message_encode_policy=TextBase64EncodePolicy(),
        message_decode_policy=TextBase64DecodePolicy(),
    )


@pytest.fixture
def make_app(connection_string: str, in_azure: Simulator) -> Iterator[AppMaker]:
    """Makes the app with these settings; a second one shares storage with the first, like a second host."""
    name = f"test{uuid4().hex}"
    tables = TableServiceClient.from_connection_string(connection_string)
    queue, shard_queue = (queue_client(connection_string, f"{name}-{suffix}") for suffix in ("jobs", "shards"))
    shared_clock = Clock()

    def make(clock_ahead: timedelta = timedelta(), max_due_per_host: int = 2_000, **changes: object) -> App:
        clock = shared_clock if not clock_ahead else lambda: shared_clock() + clock_ahead
        changes = {"outcome_topic_endpoint": in_azure.ready["topicEndpoint"], **changes}
        settings = replace(Settings(), **changes)  # type: ignore[arg-type] # named by each test
        table = tables.create_table_if_not_exists(name)
        for client in (queue, shard_queue):
            with suppress(ResourceExistsError):
                client.create_queue()
        writes, reads = (
            RateLimiter(kind, Gcra(burst, rate), BucketStore(table), clock)
            for kind, burst, rate in (
                ("writes", settings.arm_write_burst, settings.arm_writes_per_second),
                ("reads", settings.arm_read_burst, settings.arm_reads_per_second),
            )
        )
        tokens = TokenCache(lambda: managed_identity(None), ARM_AUDIENCE)
        transport = ArmTransport(tokens, requests.Session())
        arm = ArmClient(in_azure.url, settings.arm_allowed_hosts, transport, writes, reads)
        topic = settings.outcome_topic_endpoint
        host = Host(
            store=RemediationStore(table),
            arm=arm,
            write_limit=writes,
            read_limit=reads,
            jobs=SyncJobQueue(queue),
            shards=ShardQueue(shard_queue),
            topic=OutcomeTopic(topic, managed_identity(None)) if topic else None,
            backups=ArmBackups(in_azure.url, arm, clock),
            latest_points=LatestPointCache(ResourceGraph(in_azure.url, (), transport, clock, time.sleep), clock),
            slots=BackupSlots(table, settings.backup_daily_cap, clock),
            settings=settings,
            clock=clock,
            concurrency=settings.poll_concurrency,
            max_due_per_host=max_due_per_host,
        )
        return App(host, arm, tokens, queue, shard_queue, table, shared_clock, in_azure)

    yield make
    tables.delete_table(name)
    for client in (queue, shard_queue):
        client.delete_queue()
        client.close()
    tables.close()


@pytest.fixture
def app(make_app: AppMaker) -> App:
    return make_app()
