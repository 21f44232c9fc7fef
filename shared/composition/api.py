"""The functions behind the routes of the HTTP API."""

from collections.abc import Callable
from datetime import timedelta

from shared.api.alerts import AlertApi
from shared.api.error_codes import ErrorCodesApi
from shared.api.health import Health
from shared.api.incidents import IncidentsApi
from shared.api.instances import InstancesApi
from shared.api.meta import MetaApi
from shared.api.pauses import PausesApi
from shared.api.principal import Platform
from shared.api.remediations import RemediationsApi
from shared.api.status import Status
from shared.api.sweep import SweepApi
from shared.api.sync import SyncApi
from shared.clients.vault_cache import VaultCache
from shared.composition import healing, settings, stores
from shared.composition.once import once
from shared.domain.sign_in import SignIn
from shared.healing.remediation_search import RemediationSearch
from shared.storage import connection
from shared.storage.finding_store import FindingStore
from shared.storage.queues import POISON_JOBS, SyncJobQueue
from shared.storage.storage_clock import STORAGE_CLOCK


@once
def sync() -> SyncApi:
    """`POST /api/sync`."""
    return SyncApi(healing.intake, healing.dry_run, STORAGE_CLOCK)


@once
def alerts() -> AlertApi:
    """`POST /api/alerts`."""
    return AlertApi(healing.intake, _vaults, healing.operation_filter(), STORAGE_CLOCK)


@once
def sweep() -> SweepApi:
    """`POST /api/sweep`."""
    return SweepApi(healing.sweep)


@once
def remediations() -> RemediationsApi:
    """`/api/remediations`."""
    codes = settings().code_catalogue()
    parts = (healing.cancel, stores.store, stores.reader, search, STORAGE_CLOCK, codes)
    return RemediationsApi(*parts, subscription_names=stores.subscription_names)


@once
def search() -> RemediationSearch:
    """Search in what is kept."""
    policy = settings().policy()
    retention = timedelta(days=settings().retention_days)
    return RemediationSearch(stores.reader, retention, policy.is_in_scope, STORAGE_CLOCK)


@once
def incidents() -> IncidentsApi:
    """`/api/incidents`."""
    return IncidentsApi(stores.store, settings().code_catalogue())


@once
def pauses() -> PausesApi:
    """`/api/pauses`."""
    return PausesApi(healing.pausing, STORAGE_CLOCK)


@once
def instances() -> InstancesApi:
    """`/api/instances`."""
    return InstancesApi(healing.acknowledge, settings().code_catalogue(), STORAGE_CLOCK)


@once
def error_codes() -> ErrorCodesApi:
    """`/api/error-codes`."""
    retention = timedelta(days=settings().retention_days)
    return ErrorCodesApi(stores.reader, settings().code_catalogue(), retention, STORAGE_CLOCK)


@once
def meta() -> MetaApi:
    """The routes about the API itself."""
    return MetaApi(health())


@once
def status() -> Status:
    """`/api/status`."""
    return Status(health, STORAGE_CLOCK)


@once
def health() -> Health:
    """Checks of the app's parts."""
    return Health(
        stores.store,
        stores.buckets,
        stores.jobs,
        _poison_jobs,
        lambda: healing.tokens().get(),
        lambda: healing.arm().check_access(),
        STORAGE_CLOCK,
        settings().mode,
        stores.run_store,
        findings(),
        Platform.from_environment() if settings().sign_in is SignIn.ENTRA else None,
    )


def findings() -> Callable[[], FindingStore] | None:
    """The findings that were reported; None if `STALE_AFTER` is off."""
    return None if settings().stale_after is None else stores.finding_store


@once
def _vaults() -> VaultCache:
    return VaultCache(healing.arm().instances, STORAGE_CLOCK)


@once
def _poison_jobs() -> SyncJobQueue:
    return SyncJobQueue(connection.open_queue(POISON_JOBS))
