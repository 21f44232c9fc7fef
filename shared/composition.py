"""How the rooms are put together, each when it is first needed and once for each process.

The imports stand inside the functions on purpose: storage, identity, HTTP and validation libraries cost a
cold start several times what `azure.functions` does, and most starts need only some of them.
"""

import logging
import random
from functools import cache
from typing import TYPE_CHECKING

from shared.clock import utc_now
from shared.settings import Settings
from shared.version import VERSION

if TYPE_CHECKING:
    from azure.data.tables import TableClient
    from azure.identity import ManagedIdentityCredential

    from shared.alert_api import AlertApi
    from shared.arm import ArmClient
    from shared.dashboard.page import Dashboard
    from shared.healer import Healer
    from shared.history import History
    from shared.http_api import HttpApi
    from shared.identity import Tokens
    from shared.jobs import JobQueue
    from shared.operations import OperationRules
    from shared.pacing import Pacer
    from shared.remediations_api import RemediationsApi
    from shared.retention import Retention
    from shared.store import Store
    from shared.sync_api import SyncApi
    from shared.tick import Tick
    from shared.vault_instances import VaultInstances

for _chatty in ("azure.core", "azure.identity"):
    # The SDKs tell of each request at INFO: several lines for each of ours, and more CPU than the request.
    logging.getLogger(_chatty).setLevel(logging.WARNING)
# Its publisher warns of every per-call option that is no attribute of the event (`retry_total`, see outcomes.py).
logging.getLogger("azure.eventgrid").setLevel(logging.ERROR)


@cache
def settings() -> Settings:
    """The app's settings; `shared.settings.InvalidSettings` stops the app at start."""
    return Settings.from_environment()


@cache
def healer() -> "Healer":
    """The use cases of signals and sync jobs."""
    from shared.healer import Healer

    return Healer(_store(), _arm(), _writes(), _jobs(), settings(), utc_now, random.random)


@cache
def operation_rules() -> "OperationRules":
    """Which failed operations count as signals."""
    from shared.operations import OperationRules

    return OperationRules(settings().event_operations, settings().client_id)


@cache
def tick() -> "Tick":
    """The use case of the timer."""
    from shared.outcomes import OutcomeTopic
    from shared.tick import Tick

    endpoint = settings().outcome_topic_endpoint
    topic = OutcomeTopic(endpoint, _credential()) if endpoint else None
    return Tick(_store(), _arm(), _jobs(), topic, settings(), utc_now, random.random)


@cache
def retention() -> "Retention":
    """The use case of the daily timer."""
    from shared.retention import Retention

    return Retention(_store(), settings(), utc_now)


@cache
def history() -> "History":
    """What was and is healed: for lists and for the page."""
    from shared.history import History

    return History(_table(), _store(), utc_now)


@cache
def http_api() -> "HttpApi":
    """The functions behind the routes about the API itself."""
    from shared.health import Health
    from shared.http_api import HttpApi

    return HttpApi(Health(_store, _jobs, _poison, lambda: _tokens().current(), lambda: _arm().reach(), utc_now))


@cache
def remediations_api() -> "RemediationsApi":
    """The functions behind `/api/remediations`."""
    from shared.remediations_api import RemediationsApi

    return RemediationsApi(healer, _store, history)


@cache
def sync_api() -> "SyncApi":
    """The function behind `POST /api/sync`."""
    from shared.sync_api import SyncApi

    return SyncApi(healer, utc_now)


@cache
def alert_api() -> "AlertApi":
    """The function behind `POST /api/alerts`."""
    from shared.alert_api import AlertApi

    return AlertApi(healer, _vaults, operation_rules(), utc_now)


@cache
def dashboard() -> "Dashboard":
    """The function behind `/api/dashboard`."""
    from shared.dashboard.page import Dashboard

    return Dashboard(healer, history, _store, settings(), utc_now)


@cache
def _vaults() -> "VaultInstances":
    from shared.vault_instances import VaultInstances

    return VaultInstances(_arm().instances, utc_now)


@cache
def _store() -> "Store":
    from shared.store import Store

    return Store(_table())


@cache
def _table() -> "TableClient":
    from shared import storage
    from shared.store import TABLE

    return storage.table(TABLE)


@cache
def _jobs() -> "JobQueue":
    from shared import storage
    from shared.jobs import SYNC_JOBS, JobQueue

    return JobQueue(storage.queue(SYNC_JOBS))


@cache
def _poison() -> "JobQueue":
    from shared import storage
    from shared.jobs import POISON_JOBS, JobQueue

    return JobQueue(storage.queue(POISON_JOBS))


@cache
def _arm() -> "ArmClient":
    import requests
    from requests.adapters import HTTPAdapter

    from shared.arm import ArmClient

    session = requests.Session()
    session.headers["User-Agent"] = f"backup-autoheal/{VERSION} {requests.utils.default_user_agent()}"
    session.mount("https://", HTTPAdapter(pool_maxsize=2 * settings().poll_concurrency))
    hosts = settings().arm_allowed_hosts
    return ArmClient(settings().arm_endpoint, hosts, _tokens(), session, _writes(), utc_now)


@cache
def _writes() -> "Pacer":
    from shared.pacing import Budget, Pacer

    budget = Budget(settings().arm_write_burst, settings().arm_writes_per_second)
    return Pacer(budget, _store().move_horizon, utc_now)


@cache
def _tokens() -> "Tokens":
    from shared.identity import Tokens, managed_identity

    audience = settings().arm_audience or settings().arm_endpoint
    return Tokens(lambda: managed_identity(settings().client_id), audience)


@cache
def _credential() -> "ManagedIdentityCredential":
    from shared.identity import managed_identity

    return managed_identity(settings().client_id)
