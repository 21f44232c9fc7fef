"""`currentProtectionState` of a backup instance: what each value says about it. Pure."""

VALID = "ProtectionConfigured"
CHANGING = frozenset({"UpdatingProtection", "ConfiguringProtection"})
INTENDED = frozenset(
    {
        "ProtectionStopped",
        "BackupsSuspended",
        "BackupSchedulesSuspended",
        "RetentionSchedulesSuspended",
        "SoftDeleting",
        "SoftDeleted",
    }
)
"""Somebody wants the instance as it is; no sync changes that, nor should it."""
BROKEN = frozenset({"ProtectionError", "ConfiguringProtectionFailed", "NotProtected", "Invalid"})
KNOWN_STATES = frozenset({VALID}) | CHANGING | INTENDED | BROKEN
"""`currentProtectionState` (REST reference, "Backup Instances - Get"; `BackupsSuspended` as real answers have it).

A state that is not among them counts as broken: it is not the proof of a heal, and nobody is known to intend it.
"""
