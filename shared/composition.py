"""How the rooms are put together, each when it is first needed and once for each process.

The imports stand inside the functions on purpose: storage, identity, HTTP and validation libraries cost a
cold start several times what `azure.functions` does, and most starts need only some of them.
"""

import logging
import random
from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from shared.clock import utc_now
from shared.settings import Settings
from shared.version import VERSION

if TYPE_CHECKING:
    from azure.data.tables import TableClient
    from azure.identity import ManagedIdentityCredential

    from shared.api.alerts import AlertApi
    from shared.api.meta import HttpApi
    from shared.api.remediations import RemediationsApi
    from shared.api.sweep import SweepApi
    from shared.api.sync import SyncApi
    from shared.clients.arm import ArmClient
    from shared.clients.arm_transport import ArmTransport
    from shared.clients.credential import TokenCache
    from shared.clients.vault_cache import VaultCache
    from shared.dashboard.page import Dashboard
    from shared.healing.healer import Healer
    from shared.healing.poll_cache import PollCache
    from shared.healing.poller import Poller
    from shared.healing.retention import Retention
    from shared.healing.sweep import Sweep
    from shared.rate_limits.rate_limiter import Gcra, RateLimiter
    from shared.sources.operation_filter import OperationFilter
    from shared.storage.bucket_store import BucketStore
    from shared.storage.queues import ShardQueue, SyncJobQueue
    from shared.storage.remediation_list import RemediationReader
    from shared.storage.remediation_store import RemediationStore

for _chatty in ("azure.core", "azure.identity"):
    # The SDKs tell of each request at INFO: several lines for each of ours, and more CPU than the request.
    logging.getLogger(_chatty).setLevel(logging.WARNING)
# Its publisher warns of every per-call option that is no attribute of the event (`retry_total`, see outcomes.py).
logging.getLogger("azure.eventgrid").setLevel(logging.ERROR)


Made = TypeVar("Made")


def once(make: Callable[[], Made]) -> Callable[[], Made]:
    """Made when it is first asked for, and once, however many threads ask at the same time."""
    made: list[Made] = []
    building = RLock()

    def get() -> Made:
        if not made:
            with building:
                if not made:
                    made.append(make())
        return made[0]

    return get


@once
def settings() -> Settings:
    """The app's settings; `shared.settings.InvalidSettings` stops the app at start."""
    return Settings.from_environment()


@once
def healer() -> "Healer":
    """The use cases of signals and sync jobs."""
    from shared.healing.healer import Healer

    return Healer(_store(), _arm(), _writes(), _jobs(), _memory(), settings(), utc_now, random.random)


@once
def operation_rules() -> "OperationFilter":
    """Which failed operations count as signals."""
    from shared.sources.operation_filter import OperationFilter

    return OperationFilter(settings().event_operations, settings().client_id)


@once
def tick() -> "Poller":
    """The use case of the timer."""
    from shared.clients.outcome_topic import OutcomeTopic
    from shared.healing.next_step import NextStep
    from shared.healing.poller import Poller

    endpoint = settings().outcome_topic_endpoint
    topic = OutcomeTopic(endpoint, _credential()) if endpoint else None
    looks = NextStep(_arm(), _reads(), settings(), utc_now, random.random)
    at_once = settings().poll_concurrency
    return Poller(_store(), looks, _memory(), _jobs(), _shards(), topic, utc_now, random.random, at_once)


@once
def retention() -> "Retention":
    """The use case of the daily timer."""
    from shared.healing.retention import Retention

    return Retention(_store(), settings(), utc_now)


@once
def sweep() -> "Sweep":
    """The use case of the sweep's timer and route."""
    import time

    from shared.clients.resource_graph import ResourceGraph
    from shared.healing.sweep import Sweep
    from shared.rate_limits.sweep_quota import SweepQuota

    graph = ResourceGraph(settings().arm_endpoint, settings().sweep_subscriptions, _calls(), utc_now, time.sleep)
    turns = SweepQuota(_budget(), _buckets(), utc_now)
    return Sweep(graph, healer(), turns, _jobs(), utc_now, random.random)


@once
def sweep_api() -> "SweepApi":
    """The function behind the sweep's route."""
    from shared.api.sweep import SweepApi

    return SweepApi(sweep)


@once
def history() -> "RemediationReader":
    """What was and is healed: for lists and for the page."""
    from shared.storage.remediation_list import RemediationReader

    return RemediationReader(_table(), _store(), utc_now)


@once
def http_api() -> "HttpApi":
    """The functions behind the routes about the API itself."""
    from shared.api.health import Health
    from shared.api.meta import API_ROUTES, HttpApi
    from shared.dashboard.route_docs import OPERATIONS

    health = Health(_store, _jobs, _poison, lambda: _tokens().current(), lambda: _arm().reach(), utc_now)
    return HttpApi(health, (*API_ROUTES, *OPERATIONS))


@once
def remediations_api() -> "RemediationsApi":
    """The functions behind `/api/remediations`."""
    from shared.api.remediations import RemediationsApi

    return RemediationsApi(healer, _store, history)


@once
def sync_api() -> "SyncApi":
    """The function behind `POST /api/sync`."""
    from shared.api.sync import SyncApi

    return SyncApi(healer, utc_now)


@once
def alert_api() -> "AlertApi":
    """The function behind `POST /api/alerts`."""
    from shared.api.alerts import AlertApi

    return AlertApi(healer, _vaults, operation_rules(), utc_now)


@once
def dashboard() -> "Dashboard":
    """The function behind `/api/dashboard`."""
    from shared.dashboard.page import Dashboard

    return Dashboard(healer, history, _store, settings(), utc_now)


@once
def _vaults() -> "VaultCache":
    from shared.clients.vault_cache import VaultCache

    return VaultCache(_arm().instances, utc_now)


@once
def _store() -> "RemediationStore":
    from shared.storage.remediation_store import RemediationStore

    return RemediationStore(_table())


@once
def _table() -> "TableClient":
    from shared.storage import connection
    from shared.storage.remediation_store import TABLE_NAME

    return connection.open_table(TABLE_NAME)


@once
def _jobs() -> "SyncJobQueue":
    from shared.storage import connection
    from shared.storage.queues import SYNC_JOBS, SyncJobQueue

    return SyncJobQueue(connection.open_queue(SYNC_JOBS))


@once
def _poison() -> "SyncJobQueue":
    from shared.storage import connection
    from shared.storage.queues import POISON_JOBS, SyncJobQueue

    return SyncJobQueue(connection.open_queue(POISON_JOBS))


@once
def _shards() -> "ShardQueue":
    from shared.storage import connection
    from shared.storage.queues import DUE_SHARDS, ShardQueue

    return ShardQueue(connection.open_queue(DUE_SHARDS))


@once
def _memory() -> "PollCache":
    from shared.healing.poll_cache import PollCache

    return PollCache()


@once
def _arm() -> "ArmClient":
    from shared.clients.arm import ArmClient

    hosts = settings().arm_allowed_hosts
    return ArmClient(settings().arm_endpoint, hosts, _calls(), _writes(), _reads())


@once
def _calls() -> "ArmTransport":
    from requests.utils import default_user_agent

    from shared.clients.arm_transport import ArmTransport
    from shared.clients.http_session import pooled_session

    session = pooled_session(settings().arm_endpoint, 2 * settings().poll_concurrency)
    session.headers["User-Agent"] = f"backup-autoheal/{VERSION} {default_user_agent()}"
    return ArmTransport(_tokens(), session, utc_now)


@once
def _writes() -> "RateLimiter":
    from shared.rate_limits.rate_limiter import RateLimiter

    return RateLimiter("writes", _budget(), _buckets(), utc_now)


@once
def _reads() -> "RateLimiter":
    from shared.rate_limits.rate_limiter import Gcra, RateLimiter

    budget = Gcra(settings().arm_read_burst, settings().arm_reads_per_second)
    return RateLimiter("reads", budget, _buckets(), utc_now)


@once
def _buckets() -> "BucketStore":
    from shared.storage.bucket_store import BucketStore

    return BucketStore(_table())


@once
def _budget() -> "Gcra":
    from shared.rate_limits.rate_limiter import Gcra

    return Gcra(settings().arm_write_burst, settings().arm_writes_per_second)


@once
def _tokens() -> "TokenCache":
    from shared.clients.credential import TokenCache, managed_identity

    audience = settings().arm_audience or settings().arm_endpoint
    return TokenCache(lambda: managed_identity(settings().client_id), audience)


@once
def _credential() -> "ManagedIdentityCredential":
    from shared.clients.credential import managed_identity

    return managed_identity(settings().client_id)
