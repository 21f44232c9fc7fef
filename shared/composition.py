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

if TYPE_CHECKING:
    from azure.identity import ManagedIdentityCredential
    from requests import Session

    from shared.arm import ArmClient
    from shared.healer import Healer
    from shared.http_api import HttpApi
    from shared.http_sweep import SweepApi
    from shared.identity import Tokens
    from shared.jobs import JobQueue
    from shared.pacing import Budget, Pacer
    from shared.retention import Retention
    from shared.store import Store
    from shared.sweep import Sweep
    from shared.tick import Tick

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
def sweep() -> "Sweep":
    """The use case of the sweep's timer and route."""
    import time

    from shared.arm_calls import ArmCalls
    from shared.resource_graph import ResourceGraph
    from shared.sweep import Sweep
    from shared.turns import Turns

    calls = ArmCalls(_tokens(), _session(), utc_now)
    graph = ResourceGraph(settings().arm_endpoint, settings().sweep_subscriptions, calls, utc_now, time.sleep)
    turns = Turns(_budget(), _store().move_horizon, _store().horizon, utc_now)
    return Sweep(graph, healer(), turns, _jobs(), utc_now, random.random)


@cache
def sweep_api() -> "SweepApi":
    """The function behind the sweep's route."""
    from shared.http_sweep import SweepApi

    return SweepApi(sweep)


@cache
def http_api() -> "HttpApi":
    """The functions behind the HTTP routes."""
    from shared.health import Health
    from shared.http_api import HttpApi

    return HttpApi(healer, _store, Health(_store, _jobs, _tokens().current, utc_now), utc_now)


@cache
def _store() -> "Store":
    from shared import storage
    from shared.store import TABLE, Store

    return Store(storage.table(TABLE))


@cache
def _jobs() -> "JobQueue":
    from shared import storage
    from shared.jobs import SYNC_JOBS, JobQueue

    return JobQueue(storage.queue(SYNC_JOBS))


@cache
def _arm() -> "ArmClient":
    from shared.arm import ArmClient

    hosts = settings().arm_allowed_hosts
    return ArmClient(settings().arm_endpoint, hosts, _tokens(), _session(), _writes(), utc_now)


@cache
def _session() -> "Session":
    from requests import Session
    from requests.adapters import HTTPAdapter

    session = Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=2 * settings().poll_concurrency))
    return session


@cache
def _writes() -> "Pacer":
    from shared.pacing import Pacer

    return Pacer(_budget(), _store().move_horizon, utc_now)


@cache
def _budget() -> "Budget":
    from shared.pacing import Budget

    return Budget(settings().arm_write_burst, settings().arm_writes_per_second)


@cache
def _tokens() -> "Tokens":
    from shared.identity import Tokens, managed_identity

    audience = settings().arm_audience or settings().arm_endpoint
    return Tokens(lambda: managed_identity(settings().client_id), audience)


@cache
def _credential() -> "ManagedIdentityCredential":
    from shared.identity import managed_identity

    return managed_identity(settings().client_id)
