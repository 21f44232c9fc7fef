"""The setting `RECOVERY`, apart from the structs of a recovery: it is read at every cold start."""

from enum import StrEnum


class RecoveryMode(StrEnum):
    """Whether a heal is followed to a recovery point newer than the failure, and a backup made where one failed."""

    OFF = "Off"
    WATCH = "Watch"
    BACKUP = "Backup"
