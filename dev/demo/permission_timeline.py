"""The timeline of a missing role: the attempt that fails, what is to be done, the repair, the attempt that it wakes."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dev.demo.timeline import Json, Milestone, Timeline


@dataclass
class PermissionTimeline(Timeline):
    """One attempt fails, somebody assigns the role, and the next attempt does not wait for hours."""

    next_step: str = ""
    """The app's advice, once it is known."""
    repaired_at: datetime | None = None

    @property
    def waits_for_repair(self) -> bool:
        """Whether the first attempt has failed, and nobody has repaired anything yet."""
        return self.status == "WaitingToRetry" and self.repaired_at is None

    def repaired(self, next_step: str) -> None:
        """Now somebody did what the app said."""
        self.next_step, self.repaired_at = next_step, datetime.now(UTC)

    def milestones(self) -> list[Milestone]:
        """All in their order, with the time of each that is reached."""
        return [
            Milestone("signal", 0.0, "ResourceActionFailure event posted"),
            self._queued(),
            self._accepted(),
            self._failed(),
            self._repaired(),
            self._woken(),
            self._verified(),
            self._published(),
        ]

    def _failed(self) -> Milestone:
        waiting = self._transition_to("WaitingToRetry")
        detail = f"{waiting['reason']}\n{self.next_step}" if waiting and self.next_step else ""
        return self._milestone("attempt failed", waiting if detail else None, detail)

    def _published(self) -> Milestone:
        # An event that a person is needed came before the outcome.
        published = [entry for entry in self.requests if entry["kind"] == "topic" and entry["status"] == 200]
        last = published[-1] if self.events and published else None
        return self._milestone("outcome event", last, str(self.events[0].get("type")) if self.events else "")

    def _repaired(self) -> Milestone:
        if self.repaired_at is None:
            return Milestone("repaired", None)
        return Milestone("repaired", self._since(self.repaired_at), "role assigned: ResourceWriteSuccess event posted")

    def _woken(self) -> Milestone:
        again = [entry for entry in self.transitions if entry["to"] == "Queued"][1:]
        return self._milestone(
            "next attempt", again[0] if again else None, "woken by the event, minutes before its turn"
        )

    def _since(self, at: datetime) -> float:
        return (at - self.signalled_at).total_seconds()


def next_step_in(remediation: Json) -> str:
    """The words and the command of `nextStep` in a remediation as the API shows it; empty if there is none."""
    step = remediation.get("nextStep") or {}
    return "\n".join(filter(None, (step.get("text"), step.get("command"))))
