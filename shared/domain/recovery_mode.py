"""The setting `RECOVERY`, apart from the structs of a recovery: it is read at every cold start."""

from enum import StrEnum


class RecoveryMode(StrEnum):
    """Whether a heal is followed to a recovery point newer than the failure, and a backup made where one failed."""

    OFF = "Off"
    WATCH = "Watch"
    BACKUP = "Backup"


def read_recovery_mode(value: str) -> RecoveryMode:
    """A mode in any casing.

    Raises:
        ValueError: there is no such mode.
    """
    for mode in RecoveryMode:
        if value.lower() == mode.lower():
            return mode
    raise ValueError(f"expected one of {', '.join(RecoveryMode)}")
