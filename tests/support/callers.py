"""Callers of the app's HTTP functions, and of its timers but the poller's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import azure.functions as func
from azure.data.tables import TableClient

from shared.api.alerts import AlertApi
from shared.api.health import Health
from shared.api.meta import MetaApi
from shared.api.remediations import RemediationsApi
from shared.api.status import Status
from shared.api.sweep import SweepApi
from shared.api.sync import SyncApi
from shared.clients.arm import ArmClient
from shared.clients.credential import TokenCache
from shared.clients.vault_cache import VaultCache
from shared.dashboard.known_reads import KnownReads
from shared.dashboard.page import Dashboard
from shared.dashboard.report import ReportPage
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.monthly_report import MonthlyReports
from shared.healing.pausing import Pausing
from shared.healing.remediation_search import RemediationSearch
from shared.healing.retention import Retention
from shared.healing.sweep import Sweep
from shared.settings import Settings
from shared.sources.operation_filter import OperationFilter
from shared.storage.backup_slots import BackupSlots
from shared.storage.bucket_store import BucketStore
from shared.storage.pause_store import PauseStore
from shared.storage.queues import SyncJobQueue
from shared.storage.remediation_list import RemediationReader
from shared.storage.remediation_store import RemediationStore
from shared.storage.run_store import RunStore
from shared.storage.seal_store import SealStore
from tests.support.alert_bodies import alert
from tests.support.api_parts import http_request
from tests.support.bindings import OutputBinding
from tests.support.host import Host
from tests.support.memory_table import MemoryTable
from tests.support.simulator import VAULT

_DRY = {"dryRun": "true"}


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Everything that may be asked of one host."""

    store: RemediationStore
    buckets: BucketStore
    table: TableClient | None
    """For the lists; there are none in memory."""
    host: Host
    sweep: Sweep
    jobs: SyncJobQueue
    arm: ArmClient
    tokens: TokenCache
    clock: Callable[[], datetime]
    settings: Settings
    enqueue: Callable[[str], None]
    """Takes what a function sets as its queue output."""

    def post_alert(self, resource: str) -> func.HttpResponse:
        """`POST /api/alerts`: an alert that names the vault, and what its instance protects."""
        vaults = VaultCache(self.arm.instances, self.clock)
        api = AlertApi(lambda: self.host.intake, lambda: vaults, OperationFilter(()), self.clock)
        body = alert({"linkedResourceId": resource}, alertTargetIDs=[VAULT], firedDateTime=self.clock().isoformat())
        return self._with_jobs(lambda jobs: api.receive(http_request("POST", "/alerts", body), jobs))

    def get_health(self) -> func.HttpResponse:
        """`GET /api/health`."""
        return MetaApi(self.health()).check_health()

    def health(self) -> Health:
        """Checks of the parts, anew."""
        return Health(
            store=lambda: self.store,
            buckets=lambda: self.buckets,
            jobs=lambda: self.jobs,
            poison=lambda: self.jobs,
            token=self.tokens.get,
            reach=self.arm.check_access,
            now=self.clock,
            mode=self.settings.mode,
            runs=lambda: RunStore(self.table or cast(TableClient, MemoryTable()), self.clock),
        )

    def requests(self, instance: BackupInstanceId, resource: str) -> Mapping[str, Callable[[], func.HttpResponse]]:
        """Every request that storage or Azure is needed for, by its function."""
        sync = SyncApi(lambda: self.host.intake, lambda: self.host.dry_run, self.clock)
        sweep = SweepApi(lambda: self.sweep)
        body = {"backupInstanceId": str(instance)}

        def post_sync(query: Mapping[str, str]) -> func.HttpResponse:
            return self._with_jobs(lambda jobs: sync.sync(http_request("POST", "/sync", body, query=query), jobs))

        return {
            "request_sync": lambda: post_sync({}),
            "request_sync, dry run": lambda: post_sync(_DRY),
            "receive_alert": lambda: self.post_alert(resource),
            "request_sweep": lambda: sweep.request(http_request("POST", "/sweep")),
            "request_sweep, dry run": lambda: sweep.request(http_request("POST", "/sweep", query=_DRY)),
            "get_health": self.get_health,
        }

    def reading(self, remediation: Remediation) -> Mapping[str, Callable[[], func.HttpResponse]]:
        """Every request that reads or cancels a remediation, by its function."""
        assert self.table
        table = self.table
        reader = RemediationReader(self.table, self.store, self.clock)
        search = RemediationSearch(lambda: reader, timedelta(days=90), lambda _: True, self.clock)
        names = RunStore(table, self.clock).subscription_names
        api = RemediationsApi(
            lambda: self.host.cancel,
            lambda: self.store,
            lambda: reader,
            lambda: search,
            self.clock,
            subscription_names=names,
        )
        pausing = Pausing(self.settings.mode, PauseStore(self.table, self.clock), self.clock)
        reports = MonthlyReports(lambda: reader, timedelta(days=90), self.clock)
        report = ReportPage(reports, lambda: SealStore(table, self.clock), self.settings.mode, self.clock, names)
        page = Dashboard(
            lambda: self.host.intake,
            lambda: self.host.cancel,
            lambda: self.host.acknowledge,
            lambda: pausing,
            lambda: reader,
            lambda: self.store,
            self.settings,
            self.clock,
            status=lambda: Status(self.health, self.clock),
            reads=KnownReads(self.clock),
            runs=lambda: RunStore(table, self.clock),
            report=lambda: report,
        )
        one = remediation.id
        return {
            "get_remediations": lambda: api.list(http_request("GET", "/remediations")),
            "get_remediations, searched": lambda: api.list(
                http_request("GET", "/remediations", query={"sort": "Attention"})
            ),
            "get_remediation": lambda: api.show(http_request("GET", "/remediations/{id}", id=one)),
            "cancel_remediation": lambda: api.cancel(http_request("POST", "/remediations/{id}/cancel", id=one)),
            "get_dashboard": lambda: page.answer(http_request("GET", "/dashboard"), OutputBinding()),
            "get_dashboard, report": lambda: page.answer(
                http_request("GET", "/dashboard", query={"report": "2026-01"}), OutputBinding()
            ),
            "get_dashboard, one": lambda: page.answer(
                http_request("GET", "/dashboard", query={"id": one}), OutputBinding()
            ),
        }

    def timers(self) -> Mapping[str, Callable[[], None]]:
        """The timers but the poller's, by their function."""
        return {
            "sweep_instances": self.sweep.on_schedule,
            "purge_remediations": Retention(self.store, self._slots(), self.settings.retention_days, self.clock).purge,
        }

    def _slots(self) -> BackupSlots:
        return BackupSlots(self.table or cast(TableClient, MemoryTable()), 1, self.clock)

    def _with_jobs(self, serve: Callable[[OutputBinding[list[str]]], func.HttpResponse]) -> func.HttpResponse:
        jobs = OutputBinding[list[str]]()
        response = serve(jobs)
        for messages in jobs.values:
            for message in messages:
                self.enqueue(message)
        return response
