"""Slots: the leave to make a backup on demand, of which an instance has few a day. Plain data."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """One can be taken."""


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """The remediation took it before: it may have made the call already, and a crash have kept it off the record."""

    since: datetime


@dataclass(frozen=True, slots=True)
class NoSlot:
    """Others had all of the day's, or none is given."""


BackupSlot = FreeSlot | HeldSlot | NoSlot
