"""The use cases of healing and what they need: storage, identity, Resource Manager."""

import logging
import os
import random
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.arm import ArmClient
from shared.clients.arm_backups import ArmBackups
from shared.clients.arm_circuit import ArmCircuit
from shared.clients.arm_transport import ArmTransport
from shared.clients.backup_inventory import BackupInventory
from shared.clients.credential import ManagedIdentity, TokenCache, identity_ids, managed_identity
from shared.clients.http_session import pooled_session
from shared.clients.latest_points import LatestPointCache
from shared.clients.notice_webhook import NoticeWebhook
from shared.clients.resource_graph import ResourceGraph
from shared.clients.subscriptions import Subscriptions
from shared.composition import settings
from shared.composition.once import once
from shared.composition.stores import (
    backup_slots,
    buckets,
    finding_store,
    jobs,
    lease_container,
    outbox,
    reader,
    run_store,
    store,
    table,
)
from shared.domain.coverage import Coverage
from shared.domain.mode import Mode
from shared.domain.recovery_mode import RecoveryMode
from shared.healing.acknowledge import Acknowledge
from shared.healing.cancel import Cancel
from shared.healing.digest import DigestWriter
from shared.healing.dry_run import DryRun
from shared.healing.finding_reports import FindingReports
from shared.healing.finding_search import FindingSearch
from shared.healing.first_holds import FirstHolds
from shared.healing.incident_watch import IncidentWatch
from shared.healing.incidents import Incidents
from shared.healing.intake import Intake
from shared.healing.needing_person import NeedingPerson
from shared.healing.next_step import NextStep
from shared.healing.notices import NoticeTopic, Notifier
from shared.healing.observing_arm import arm_in_mode, recovery_in_mode
from shared.healing.outcome_publisher import OutcomePublisher
from shared.healing.pausing import Pausing, SlotsOutsidePauses
from shared.healing.poll_cache import PollCache
from shared.healing.poller import Poller
from shared.healing.ports import Arm, Topic
from shared.healing.queue_front import QueueFront
from shared.healing.recorder import Recorder
from shared.healing.recovery_step import RecoveryStep
from shared.healing.retention import Retention
from shared.healing.run_records import CoverageReader, RunRecords
from shared.healing.submit import Submit
from shared.healing.sweep import Sweep
from shared.healing.wake import Wake
from shared.rate_limits.circuit_breaker import CircuitBreaker
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.rate_limits.sweep_quota import SweepQuota
from shared.sources.operation_filter import OperationFilter
from shared.storage import connection
from shared.storage.first_points import FirstPoints
from shared.storage.pause_store import PauseStore
from shared.storage.queues import DUE_SHARDS, ShardQueue
from shared.storage.shard_leases import ShardLeases
from shared.storage.storage_clock import STORAGE_CLOCK

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from shared.clients.outcome_topic import OutcomeTopic

for _chatty in ("azure.core", "azure.identity"):
    # The SDKs log each request at INFO: several lines for each of ours, and more CPU than the request.
    logging.getLogger(_chatty).setLevel(logging.WARNING)
# Its publisher warns of every per-call option that is no attribute of the event (`retry_total`, see outcome_topic).
logging.getLogger("azure.eventgrid").setLevel(logging.ERROR)


@once
def intake() -> Intake:
    """Takes signals in."""
    first_holds = FirstHolds(store().incidents, settings().policy(), settings().canary_timeout, STORAGE_CLOCK)
    return Intake(store(), jobs(), _cache(), settings().policy(), STORAGE_CLOCK, pausing(), first_holds)


@once
def dry_run() -> DryRun:
    """Says what requests would do."""
    return DryRun(intake(), arm(), _read_limiter(), STORAGE_CLOCK)


@once
def submit() -> Submit:
    """Carries out sync jobs."""
    return Submit(
        store=store(),
        arm=_healing_arm(),
        write_limit=_write_limiter(),
        read_limit=_read_limiter(),
        jobs=jobs(),
        cache=_cache(),
        recorder=_recorder(),
        policy=settings().policy(),
        now=STORAGE_CLOCK,
        random=random.random,
        pause_of=pausing(),
    )


@once
def pausing() -> Pausing:
    """Which instances are paused."""
    return Pausing(settings().mode, PauseStore(table(), STORAGE_CLOCK), STORAGE_CLOCK)


@once
def cancel() -> Cancel:
    """Cancels remediations."""
    return Cancel(store(), _recorder(), STORAGE_CLOCK)


@once
def acknowledge() -> Acknowledge:
    """Acknowledges instances that need a person."""
    return Acknowledge(store(), _recorder(), STORAGE_CLOCK)


@once
def poller() -> Poller:
    """Polls what is due."""
    return Poller(
        store=store(),
        next_step=NextStep(
            arm=_healing_arm(),
            queue_front=QueueFront(jobs(), STORAGE_CLOCK),
            recovery=_recovery_step(),
            read_limit=_read_limiter(),
            policy=settings().policy(),
            operation_timeout=settings().operation_timeout,
            now=STORAGE_CLOCK,
            random=random.random,
        ),
        cache=_cache(),
        incidents=_incidents(),
        jobs=jobs(),
        shards=ShardQueue(connection.open_queue(DUE_SHARDS)),
        leases=ShardLeases(lambda shard: lease_container().get_blob_client(shard)),
        publisher=_publisher(),
        now=STORAGE_CLOCK,
        concurrency=settings().poll_concurrency,
        attend_incidents=_incident_watch().run,
        record_run=run_records().poll_run,
    )


@once
def _incidents() -> Incidents:
    return Incidents(store(), settings().policy(), settings().canary_timeout, STORAGE_CLOCK)


@once
def _incident_watch() -> IncidentWatch:
    return IncidentWatch(store(), reader(), _incidents(), _news_topic(), STORAGE_CLOCK, random.random)


@once
def wake() -> Wake:
    """Brings forward what waits for a repair."""
    return Wake(store(), settings().wake_delay, STORAGE_CLOCK)


@once
def retention() -> Retention:
    """Removes old remediations."""
    return Retention(store(), backup_slots(), settings().retention_days, STORAGE_CLOCK)


@once
def sweep() -> Sweep:
    """Finds broken instances for which no signal came."""
    quota = SweepQuota(_write_limit(), buckets(), STORAGE_CLOCK)
    return Sweep(
        _swept_graph(),
        intake(),
        quota,
        jobs(),
        STORAGE_CLOCK,
        random.random,
        _finding_search(),
        _finding_reports(),
        needing_person(),
        run_records(),
    )


@once
def needing_person() -> NeedingPerson:
    """Instances that need a person."""
    policy = settings().policy()
    return NeedingPerson(
        reader=reader,
        retention_days=settings().retention_days,
        subscriptions=settings().sweep_subscriptions,
        now=STORAGE_CLOCK,
        in_scope=lambda instance: policy.out_of_scope(instance) is None,
    )


@once
def run_records() -> RunRecords:
    """Records of the timers' runs."""
    return RunRecords(run_store(), _coverage, STORAGE_CLOCK)


def _coverage() -> Coverage:
    subscriptions = Subscriptions(settings().arm_endpoint, _arm_transport())
    count = BackupInventory(_swept_graph()).count
    return CoverageReader(count, subscriptions.names, settings().sweep_subscriptions, STORAGE_CLOCK)()


now = STORAGE_CLOCK
"""The time by which the app goes."""


@once
def operation_filter() -> OperationFilter:
    """Which failed operations count as signals."""
    return OperationFilter(settings().event_operations, _own_ids)


def _own_ids() -> Collection[str]:
    """Of the app's identity: the setting, or for a system-assigned one what its token says."""
    client_id = settings().client_id
    if client_id:
        return (client_id.lower(),)
    try:
        return identity_ids(tokens().get())
    except AzureError as failure:
        logs.warning("identity.unknown", reason=logs.describe_exception(failure))
        return ()


@once
def arm() -> ArmClient:
    """Azure Resource Manager."""
    hosts = settings().arm_allowed_hosts
    circuit = ArmCircuit(_arm_transport(), CircuitBreaker(STORAGE_CLOCK, random.random))
    return ArmClient(settings().arm_endpoint, hosts, circuit, _write_limiter(), _read_limiter())


@once
def _healing_arm() -> Arm:
    """Resource Manager as the mode lets the use cases of healing reach it."""
    if settings().mode is Mode.OBSERVE:
        logs.warning("mode.observe", meaning="no sync is called: a remediation ends with what would have been done")
    return arm_in_mode(settings().mode, arm())


@once
def tokens() -> TokenCache:
    """Tokens for Resource Manager."""
    return TokenCache(_credential, settings().arm_audience or settings().arm_endpoint)


@once
def _recovery_step() -> RecoveryStep:
    endpoint = settings().arm_endpoint
    graph = ResourceGraph(endpoint, (), _arm_transport(), STORAGE_CLOCK, time.sleep)
    return RecoveryStep(
        arm=arm(),
        backups=ArmBackups(endpoint, arm(), STORAGE_CLOCK),
        latest_points=LatestPointCache(graph, STORAGE_CLOCK),
        slots=SlotsOutsidePauses(backup_slots(), pausing()),
        write_limit=_write_limiter(),
        read_limit=_read_limiter(),
        mode=recovery_in_mode(settings().mode, settings().recovery),
        timeout=settings().recovery_timeout,
        now=STORAGE_CLOCK,
        random=random.random,
    )


@once
def _swept_graph() -> ResourceGraph:
    subscriptions = settings().sweep_subscriptions
    return ResourceGraph(settings().arm_endpoint, subscriptions, _arm_transport(), STORAGE_CLOCK, time.sleep)


def _finding_search() -> FindingSearch | None:
    grace = settings().stale_after
    if grace is None:
        return None
    inventory = BackupInventory(_swept_graph())
    return FindingSearch(inventory, settings().policy(), grace, STORAGE_CLOCK, FirstPoints(table()))


def _finding_reports() -> FindingReports:
    # With a recovery, each finding has a remediation, and that its outcomes.
    topic = _topic() if settings().recovery is RecoveryMode.OFF else None
    return FindingReports(finding_store(), topic, STORAGE_CLOCK)


@once
def _arm_transport() -> ArmTransport:
    return ArmTransport(tokens(), pooled_session(settings().arm_endpoint, 2 * settings().poll_concurrency))


@once
def notifier() -> Notifier:
    """Sends notices; only with a webhook for them."""
    url = settings().notify_webhook_url or ""
    host = os.environ.get("WEBSITE_HOSTNAME")  # set by App Service ("Environment variables and app settings")
    page_url = f"https://{host}/api/dashboard" if host else None
    webhook = NoticeWebhook(url, settings().notify_format, page_url, pooled_session(url, 1))
    return Notifier(outbox(), webhook, STORAGE_CLOCK, random.random)


@once
def digest() -> DigestWriter:
    """Makes digests; only with a webhook for them."""
    return DigestWriter(
        outbox=outbox(),
        reader=reader,
        policy=settings().policy(),
        recovery_timeout=settings().recovery_timeout,
        retention_days=settings().retention_days,
        now=STORAGE_CLOCK,
    )


@once
def _publisher() -> OutcomePublisher | None:
    topic = _news_topic()
    return OutcomePublisher(store(), topic, STORAGE_CLOCK, random.random) if topic else None


@once
def _news_topic() -> Topic | None:
    """The topic and the outbox of notices, whichever there is."""
    if settings().notify_webhook_url:
        return NoticeTopic(outbox(), settings().code_catalogue(), _topic())
    return _topic()


@once
def _topic() -> "OutcomeTopic | None":
    from shared.clients.outcome_topic import OutcomeTopic  # its SDK is needed with a topic only

    endpoint = settings().outcome_topic_endpoint
    return OutcomeTopic(endpoint, _credential(), settings().code_catalogue()) if endpoint else None


def _announces() -> bool:
    """Whether anybody is told of ends and of instances that need attention."""
    return bool(settings().outcome_topic_endpoint or settings().notify_webhook_url)


@once
def _recorder() -> Recorder:
    return Recorder(store(), _cache(), _incidents(), announces=_announces())


@once
def _cache() -> PollCache:
    return PollCache()


@once
def _write_limiter() -> RateLimiter:
    return RateLimiter("writes", _write_limit(), buckets(), STORAGE_CLOCK, random.random)


@once
def _read_limiter() -> RateLimiter:
    limit = Gcra(settings().arm_read_burst, settings().arm_reads_per_second)
    return RateLimiter("reads", limit, buckets(), STORAGE_CLOCK, random.random)


def _write_limit() -> Gcra:
    return Gcra(settings().arm_write_burst, settings().arm_writes_per_second)


def _credential() -> ManagedIdentity:
    return managed_identity(settings().client_id)
