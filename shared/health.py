"""Whether the app can do its work now: the answer of `GET /api/health`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError

from shared.clock import to_iso
from shared.jobs import JobQueue
from shared.store import SHARDS, Store

_TOO_LATE = timedelta(minutes=10)
"""An entry that is due for so long says that no tick runs."""


@dataclass(frozen=True, slots=True)
class Health:
    """Asks each part that healing needs."""

    store: Callable[[], Store]
    jobs: Callable[[], JobQueue]
    token: Callable[[], str]
    now: Callable[[], datetime]

    def check(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether all is well, and a document that says how each part is."""
        checks = {
            "storage": self._checked(self._due),
            "queue": self._checked(self._queue),
            "token": self._checked(self._token),
        }
        healthy = all(check["status"] == "ok" for check in checks.values())
        return healthy, {"status": "ok" if healthy else "unavailable", "checks": checks}

    def _due(self) -> dict[str, Any]:
        store = self.store()
        entries = [entry.at for shard in SHARDS if (entry := store.soonest(shard)) is not None]
        oldest = min(entries, default=None)
        late = oldest is not None and self.now() - oldest > _TOO_LATE
        return {"status": "late" if late else "ok", "oldestDueAt": to_iso(oldest) if oldest else None}

    def _queue(self) -> dict[str, Any]:
        return {"status": "ok", "depth": self.jobs().depth()}

    def _token(self) -> dict[str, Any]:
        self.token()
        return {"status": "ok"}

    @staticmethod
    def _checked(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return check()
        except AzureError as failure:
            return {"status": "unavailable", "reason": f"{type(failure).__name__}: {failure}"[:500]}
