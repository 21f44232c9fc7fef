"""The timeline of a failed backup job: the heal that has nothing to do, the backup on demand, the recovery point."""

from datetime import timedelta

from dev.demo.timeline import Milestone, Timeline

_RECOVERED = "BackupAutoheal.Remediation.Recovered"


class JobTimeline(Timeline):
    """Goes on after the heal, until there is a recovery point newer than the failure."""

    @property
    def is_complete(self) -> bool:
        """Whether the recovery is over, and both outcome events came."""
        is_healed = self._transition_to("Healed") is not None
        has_ended = self.status in ("Recovered", "NotRecovered") if is_healed else self.has_ended
        return has_ended and (not is_healed or self._published().seconds is not None)

    @property
    def succeeded(self) -> bool:
        """Whether there is a new recovery point, and that was published."""
        return self.status == "Recovered" and any(event.get("type") == _RECOVERED for event in self.events)

    def milestones(self) -> list[Milestone]:
        """All in their order, with the time of each that is reached."""
        return [
            Milestone("signal", 0.0, 'alert "Backup Failure" of a scheduled job posted'),
            self._queued(),
            self._healed(),
            self._backup(),
            self._job(),
            self._recovered(),
            self._published(),
        ]

    def _healed(self) -> Milestone:
        healed = self._transition_to("Healed")
        return self._milestone("nothing to repair", healed, str(healed.get("reason")) if healed else "")

    def _backup(self) -> Milestone:
        call = next((entry for entry in self.requests if entry["kind"] == "backup"), None)
        return self._milestone("backup taken", call, f"POST .../backup: {call['status']}" if call else "")

    def _job(self) -> Milestone:
        reads = [entry for entry in self.requests if entry["kind"] == "job"]
        read = reads[-1] if reads and self._transition_to("Recovered") else None
        return self._milestone("job followed", read, f"read {len(reads)} times, until it was completed")

    def _recovered(self) -> Milestone:
        recovered = self._transition_to("Recovered") or self._transition_to("NotRecovered")
        gap = recovered.get("gapSeconds") if recovered else None
        detail = str(recovered.get("reason")) if recovered else ""
        if gap is not None:
            detail += f"; {timedelta(seconds=float(gap)) / timedelta(minutes=1):.0f} minutes after the one before"
        return self._milestone("recovered" if self.status != "NotRecovered" else "ended", recovered, detail)

    def _published(self) -> Milestone:
        types = [str(event.get("type")).rpartition(".")[2] for event in self.events]
        published = [entry for entry in self.requests if entry["kind"] == "topic" and entry["status"] == 200]
        last = published[-1] if len(published) > 1 and len(types) > 1 else None
        return self._milestone("outcome events", last, " and ".join(types))
