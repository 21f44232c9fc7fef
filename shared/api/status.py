"""`GET /api/status`: when the app last worked, what it watches, and whether storage and Azure answer.

The parts are those of `GET /api/health`. One that does not answer is shown as this process knew it last, so that the
answer comes within five seconds whatever happens to storage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

import azure.functions as func

from shared.api.health import Health, Part
from shared.api.responses import api_errors, json_response
from shared.clock import to_iso

_TIMEOUT = 3.0
"""Seconds; the page waits for the status beside what else it reads."""
_ANSWERED = ("ok", "degraded", "late")
_NOTHING_WATCHED: Mapping[str, Any] = {"watched": None, "readable": None, "refusedCount": 0, "refused": []}
_REACHED = ("storage", "resourceManager", "token")


@dataclass(slots=True)
class Status:
    """Says how the app is; for any number of threads."""

    health: Callable[[], Health]
    now: Callable[[], datetime]
    _known: dict[str, tuple[datetime, Part]] = field(default_factory=dict)
    """The last answer of each part, and when it came."""
    _lock: Lock = field(default_factory=Lock)

    @api_errors
    def show(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/status`: 200, whatever is wrong: `GET /api/health` is for probes."""
        return json_response(200, self.document(), {"Cache-Control": "no-store"})

    def document(self) -> dict[str, Any]:
        """How the app is, within `_TIMEOUT`."""
        _, found = self.health().check(_TIMEOUT)
        now, checks = self.now(), found["checks"]
        known = self._known_parts(checks, now)
        poller, sweep, queue = (known.get(name, {}) for name in ("poller", "sweep", "queue"))
        return {
            "status": found["status"],
            "mode": found["mode"],
            "version": found["version"],
            "at": to_iso(now),
            "lastPollRun": _poll_run(poller),
            "lastSweep": _sweep(sweep),
            "instances": sweep.get("instances"),
            "subscriptions": sweep.get("subscriptions", _NOTHING_WATCHED),
            "queue": {name: queue[name] for name in ("depth", "poisonDepth")} if queue else None,
            "problems": {name: check["reason"] for name, check in checks.items() if "reason" in check},
            "reachable": {name: checks[name]["status"] in _ANSWERED for name in _REACHED},
            "knownAt": self._known_at(checks),
        }

    def _known_parts(self, checks: Mapping[str, Part], now: datetime) -> Mapping[str, Part]:
        """Each part as it is, or as it was known last."""
        answered = {name: (now, check) for name, check in checks.items() if check["status"] in _ANSWERED}
        with self._lock:
            self._known |= answered
            return {name: part for name, (_, part) in self._known.items()}

    def _known_at(self, checks: Mapping[str, Part]) -> dict[str, str | None]:
        """When what is shown of the parts that do not answer was known; None if it never was."""
        silent = [name for name, check in checks.items() if check["status"] not in _ANSWERED]
        with self._lock:
            return {name: to_iso(self._known[name][0]) if name in self._known else None for name in silent}


def _poll_run(poller: Mapping[str, Any]) -> dict[str, Any] | None:
    if not poller.get("lastRunAt"):
        return None
    return {"at": poller["lastRunAt"], "due": poller["due"], "polled": poller["polled"]}


def _sweep(sweep: Mapping[str, Any]) -> dict[str, Any] | None:
    if "opened" not in sweep:
        return None
    counts = {"at": sweep["lastRunAt"], "opened": sweep["opened"], "skipped": sweep["skipped"]}
    return {**counts, "failedAt": sweep["failedAt"]}
