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
    from shared.clients.arm_transport import ArmCalls
    from shared.clients.credential import Tokens
    from shared.clients.vault_cache import VaultInstances
    from shared.dashboard.page import Dashboard
    from shared.healing.healer import Healer
    from shared.healing.poll_cache import Memory
    from shared.healing.poller import Tick
    from shared.healing.retention import Retention
    from shared.healing.sweep import Sweep
    from shared.rate_limits.rate_limiter import Budget, Pacer
    from shared.sources.operation_filter import OperationRules
    from shared.storage.queues import JobQueue, ShardQueue
    from shared.storage.remediation_list import History
    from shared.storage.remediation_store import Store

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
def operation_rules() -> "OperationRules":
    """Which failed operations count as signals."""
    from shared.sources.operation_filter import OperationRules

    return OperationRules(settings().event_operations, settings().client_id)


@once
def tick() -> "Tick":
    """The use case of the timer."""
    from shared.clients.outcome_topic import OutcomeTopic
    from shared.healing.next_step import Looks
    from shared.healing.poller import Tick

    endpoint = settings().outcome_topic_endpoint
    topic = OutcomeTopic(endpoint, _credential()) if endpoint else None
    looks = Looks(_arm(), _reads(), settings(), utc_now, random.random)
    at_once = settings().poll_concurrency
    return Tick(_store(), looks, _memory(), _jobs(), _shards(), topic, utc_now, random.random, at_once)


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
    from shared.rate_limits.sweep_quota import Turns

    graph = ResourceGraph(settings().arm_endpoint, settings().sweep_subscriptions, _calls(), utc_now, time.sleep)
    turns = Turns(_budget(), _store().move_horizon, _store().horizon, utc_now)
    return Sweep(graph, healer(), turns, _jobs(), utc_now, random.random)


@once
def sweep_api() -> "SweepApi":
    """The function behind the sweep's route."""
    from shared.api.sweep import SweepApi

    return SweepApi(sweep)


@once
def history() -> "History":
    """What was and is healed: for lists and for the page."""
    from shared.storage.remediation_list import History

    return History(_table(), _store(), utc_now)


@once
def http_api() -> "HttpApi":
    """The functions behind the routes about the API itself."""
    from shared.api.health import Health
    from shared.api.meta import HttpApi

    return HttpApi(Health(_store, _jobs, _poison, lambda: _tokens().current(), lambda: _arm().reach(), utc_now))


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
def _vaults() -> "VaultInstances":
    from shared.clients.vault_cache import VaultInstances

    return VaultInstances(_arm().instances, utc_now)


@once
def _store() -> "Store":
    from shared.storage.remediation_store import Store

    return Store(_table())


@once
def _table() -> "TableClient":
    from shared.storage import connection
    from shared.storage.remediation_store import TABLE

    return connection.table(TABLE)


@once
def _jobs() -> "JobQueue":
    from shared.storage import connection
    from shared.storage.queues import SYNC_JOBS, JobQueue

    return JobQueue(connection.queue(SYNC_JOBS))


@once
def _poison() -> "JobQueue":
    from shared.storage import connection
    from shared.storage.queues import POISON_JOBS, JobQueue

    return JobQueue(connection.queue(POISON_JOBS))


@once
def _shards() -> "ShardQueue":
    from shared.storage import connection
    from shared.storage.queues import DUE_SHARDS, ShardQueue

    return ShardQueue(connection.queue(DUE_SHARDS))


@once
def _memory() -> "Memory":
    from shared.healing.poll_cache import Memory

    return Memory()


@once
def _arm() -> "ArmClient":
    from shared.clients.arm import ArmClient

    hosts = settings().arm_allowed_hosts
    return ArmClient(settings().arm_endpoint, hosts, _calls(), _writes(), _reads())


@once
def _calls() -> "ArmCalls":
    from requests.utils import default_user_agent

    from shared.clients.arm_transport import ArmCalls
    from shared.clients.http_session import pooled_session

    session = pooled_session(settings().arm_endpoint, 2 * settings().poll_concurrency)
    session.headers["User-Agent"] = f"backup-autoheal/{VERSION} {default_user_agent()}"
    return ArmCalls(_tokens(), session, utc_now)


@once
def _writes() -> "Pacer":
    from shared.rate_limits.rate_limiter import Pacer

    return Pacer("writes", _budget(), _store().move_horizon, utc_now)


@once
def _reads() -> "Pacer":
    from shared.rate_limits.rate_limiter import Budget, Pacer

    budget = Budget(settings().arm_read_burst, settings().arm_reads_per_second)
    return Pacer("reads", budget, _store().move_horizon, utc_now)


@once
def _budget() -> "Budget":
    from shared.rate_limits.rate_limiter import Budget

    return Budget(settings().arm_write_burst, settings().arm_writes_per_second)


@once
def _tokens() -> "Tokens":
    from shared.clients.credential import Tokens, managed_identity

    audience = settings().arm_audience or settings().arm_endpoint
    return Tokens(lambda: managed_identity(settings().client_id), audience)


@once
def _credential() -> "ManagedIdentityCredential":
    from shared.clients.credential import managed_identity

    return managed_identity(settings().client_id)
