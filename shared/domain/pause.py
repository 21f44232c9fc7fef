"""A pause: for a while the app changes nothing about the instances in a scope. Pure."""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from shared.clock import to_iso
from shared.domain.resource_ids import fold

EVERYTHING = "*"
"""The scope of all instances."""
MAX_SCOPE_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused which instances, why and until when."""

    scope: str
    """A glob on ARM ids, in any casing."""
    by: str
    reason: str
    until: datetime | None
    """None for as long as `MODE` says so."""

    def covers(self, instance: str, now: datetime) -> bool:
        """Whether the instance with this ARM id is paused now."""
        return (self.until is None or now < self.until) and fnmatchcase(fold(instance), fold(self.scope))

    def __str__(self) -> str:
        """For people and logs: not who did it, whose name no log is to hold."""
        end = f"until {to_iso(self.until)}" if self.until else "by the setting"
        return f"{self.scope} is paused {end}: {self.reason}"
