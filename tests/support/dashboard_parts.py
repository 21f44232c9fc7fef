"""The page without Azure, and what it shows, for the tests of its rooms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import azure.functions as func

from shared.dashboard.forms import TYPE
from shared.dashboard.page import Dashboard
from shared.domain.remediation import Remediation, Status, new_id
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary
from shared.healing.healer import Healer
from shared.healing.poll_cache import PollCache
from shared.settings import Settings
from shared.storage.remediation_list import RemediationReader
from tests.support.episodes import INSTANCE, NOW
from tests.support.memory_store import MemoryStore

KEY = "a+key/with==signs"


def summary(
    status: Status = Status.HEALED,
    name: str = "testbi",
    opened_at: datetime = NOW - timedelta(hours=1),
    took: timedelta = timedelta(minutes=4),
    instance: BackupInstanceId | None = None,
    error_code: str | None = None,
) -> Summary:
    """A remediation in short."""
    of = instance or BackupInstanceId(INSTANCE.subscription_id, INSTANCE.resource_group, INSTANCE.vault, name)
    ended_at = opened_at + took if status.is_terminal else None
    return Summary(new_id(of, opened_at), status, str(of), "Event", opened_at, ended_at, 1, None, error_code)


class KnownHistory(RemediationReader):
    """What was healed, as the test says."""

    def __init__(self, summaries: Sequence[Summary]) -> None:
        self._summaries = list(summaries)

    def summaries(self, opened_since: datetime) -> list[Summary]:
        return self._summaries


class Jobs(func.Out[str]):
    """The queue's output binding."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def set(self, value: str) -> None:
        self.messages.append(value)

    def get(self) -> str:
        raise AssertionError


@dataclass
class Page:
    """The page on a store in memory."""

    summaries: Sequence[Summary] = ()
    settings: Settings = field(default_factory=Settings)
    now: datetime = NOW
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: Jobs = field(default_factory=Jobs)

    def get(self, key: str = KEY, **query: str) -> func.HttpResponse:
        """Open it as a browser does."""
        return self._answer("GET", {"code": key, **query}, b"", {})

    def html(self, **query: str) -> str:
        """What it shows."""
        return self.get(**query).get_body().decode()

    def post(self, fields: Mapping[str, str] | bytes, content_type: str = TYPE) -> func.HttpResponse:
        """Send a form as a browser does."""
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self._answer("POST", {"code": KEY}, body, {"Content-Type": content_type})

    def keep(self, remediation: Remediation) -> Remediation:
        """The remediation, in the store."""
        self.store.open(remediation, self.store.owner(remediation.instance))
        return remediation

    def _answer(self, method: str, query: Mapping[str, str], body: bytes, headers: dict[str, str]) -> func.HttpResponse:
        nothing: Any = None
        healer = Healer(
            self.store, nothing, nothing, nothing, PollCache(), self.settings, lambda: self.now, lambda: 0.0
        )
        history = KnownHistory(self.summaries)
        page = Dashboard(lambda: healer, lambda: history, lambda: self.store, self.settings, lambda: self.now)
        url = "https://app.example/api/dashboard"
        return page.answer(func.HttpRequest(method, url, headers=headers, params=query, body=body), self.jobs)
