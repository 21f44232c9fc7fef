"""The timeline of a heal, read from outside: from log lines, calls to Azure and outcome events."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]
_TERMINAL = frozenset(
    {"Healed", "Unhealthy", "Failed", "Rejected", "TimedOut", "Cancelled", "WouldHeal", "Recovered", "NotRecovered"}
)
_OUTCOME = "BackupAutoheal.Remediation."
"""Of events about instances, findings and incidents the type begins otherwise."""
_POLLS = ("operationStatus", "operationResults")
_NOT_ARM = frozenset({"token", "topic"})


@dataclass(frozen=True)
class Milestone:
    """One of the six stages of a heal; `seconds` since the signal, None while it is not reached."""

    title: str
    seconds: float | None
    detail: str = ""


@dataclass
class Timeline:
    """One signal for one backup instance, and all that followed."""

    instance_id: str
    signalled_at: datetime
    transitions: list[Json] = field(default_factory=list)
    """The app's `remediation.transition` log lines about the instance."""
    requests: list[Json] = field(default_factory=list)
    """The entries of the simulated Azure's request log since the signal."""
    events: list[Json] = field(default_factory=list)
    """The CloudEvents on the outcome topic about the instance."""

    def read_log(self, lines: Iterable[str]) -> None:
        """Add the transitions in new lines of the host's log; all other lines are skipped."""
        for line in lines:
            entry = _structured(line)
            if entry.get("event") == "remediation.transition" and self._is_mine(entry.get("backupInstanceId")):
                self.transitions.append(entry)

    def read_azure(self, requests: Sequence[Json], events: Sequence[Json]) -> None:
        """Add new entries of the request log; `events` are all that are on the topic."""
        self.requests += requests
        mine = [event for event in events if self._is_mine(event.get("subject"))]
        self.events = [event for event in mine if str(event.get("type")).startswith(_OUTCOME)]

    @property
    def remediation_id(self) -> str | None:
        """The remediation's id, known from its first transition on."""
        return self.transitions[0]["remediationId"] if self.transitions else None

    @property
    def status(self) -> str | None:
        """The newest status, None before the first transition."""
        return self.transitions[-1]["to"] if self.transitions else None

    @property
    def reason(self) -> str:
        """The reason of the newest transition."""
        return str(self.transitions[-1].get("reason", "")) if self.transitions else ""

    @property
    def has_ended(self) -> bool:
        """Whether the status is a terminal one."""
        return self.status in _TERMINAL

    @property
    def is_complete(self) -> bool:
        """Whether the remediation has ended and the outcome event came: nothing follows.

        Request log and events are read one after the other: the event may be seen before the call that brought it.
        """
        return self.has_ended and self._published().seconds is not None

    @property
    def succeeded(self) -> bool:
        """Whether the remediation is Healed, and was published as that."""
        return self.status == "Healed" and any(
            event.get("type") == "BackupAutoheal.Remediation.Healed" for event in self.events
        )

    def arm_calls_by_kind(self) -> dict[str, int]:
        """Calls to Resource Manager; tokens and topic are not."""
        return dict(Counter(entry["kind"] for entry in self.requests if entry["kind"] not in _NOT_ARM))

    def milestones(self) -> list[Milestone]:
        """All six in their order, with the time of each that is reached."""
        return [
            Milestone("signal", 0.0, "ResourceActionFailure event posted"),
            self._queued(),
            self._accepted(),
            self._polled(),
            self._verified(),
            self._published(),
        ]

    def seconds_to_sync(self) -> float | None:
        """From the signal to the sync call that Azure accepted."""
        return self._accepted().seconds

    def seconds_to_outcome(self) -> float | None:
        """From the signal to the outcome event."""
        return self._published().seconds

    def _queued(self) -> Milestone:
        opened = self._transition_to("Queued")
        return self._milestone("queued", opened, f"remediation {self.remediation_id}")

    def _accepted(self) -> Milestone:
        calls = [entry for entry in self.requests if entry["kind"] == "sync"]
        accepted = next((entry for entry in calls if entry["status"] in (200, 202)), None)
        if accepted is None and calls:
            return Milestone("sync accepted", None, f"answered with {calls[-1]['status']}, to be asked again")
        detail = f"POST .../sync: {accepted['status']}" if accepted else ""
        return self._milestone("sync accepted", accepted, detail)

    def _polled(self) -> Milestone:
        polls = [entry for entry in self.requests if entry["kind"] in _POLLS]
        if not polls:
            return Milestone("polling", None)
        times = "once" if len(polls) == 1 else f"{len(polls)} times"
        followed = self._transition_to("Verifying") or (self.transitions[-1] if self.has_ended else None)
        outcome = followed["reason"] if followed else "still running"
        return self._milestone("polling", followed, f"{times}: {outcome}")

    def _verified(self) -> Milestone:
        end = self.transitions[-1] if self.has_ended else None
        title = "verified" if self.status == "Healed" or end is None else "ended"
        return self._milestone(title, end, f"{self.status}: {self.reason}")

    def _published(self) -> Milestone:
        if not self.events:
            return Milestone("outcome event", None)
        published = next(
            (entry for entry in self.requests if entry["kind"] == "topic" and entry["status"] == 200), None
        )
        return self._milestone("outcome event", published, f"{self.events[0].get('type')}")

    def _milestone(self, title: str, evidence: Json | None, detail: str) -> Milestone:
        if evidence is None:
            return Milestone(title, None, detail if title == "polling" else "")
        return Milestone(title, (datetime.fromisoformat(evidence["at"]) - self.signalled_at).total_seconds(), detail)

    def _transition_to(self, status: str) -> Json | None:
        return next((entry for entry in self.transitions if entry["to"] == status), None)

    def _is_mine(self, instance_id: object) -> bool:
        # ARM ids are equal in any casing.
        return isinstance(instance_id, str) and instance_id.lower() == self.instance_id.lower()


def _structured(line: str) -> Json:
    """The JSON object at the end of a log line, whatever the host wrote in front of it.

    A time in front is put into it as `at`: it is by this machine's clock, like those of the request log; the app's own
    is by the clock of storage, which it knows to half a second.
    """
    start = line.find('{"event"')
    if start < 0:
        return {}
    try:
        entry = json.loads(line[start:])
    except ValueError:
        return {}
    logged = re.match(r"\[(\d{4}-\d\d-\d\dT[\d:.]+Z)\]", line)
    if not isinstance(entry, dict):
        return {}
    return {**entry, "at": logged[1]} if logged else entry
