"""What the sweep asks Resource Graph, and what it makes of the rows: broken backup instances.

Pure. The table and its property are those of "Query your backups using Azure Resource Graph" (Azure Backup).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.resource_id import BackupInstanceId, InvalidResourceId

BROKEN = ("ProtectionError", "ConfiguringProtectionFailed")
"""Values of `properties.currentProtectionState` that a sync can mend."""

# Without an order, pages repeat rows and miss others; a result whose columns are all `dynamic` is not paged at
# all ("Guidance for pagination", Azure Resource Graph).
QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupinstances'"
    " | extend protectionState = tostring(properties.currentProtectionState)"
    f" | where protectionState in~ ({', '.join(repr(state) for state in BROKEN)})"
    " | project id, protectionState"
    " | order by id asc"
)

_KNOWN = {state.lower(): state for state in BROKEN}


@dataclass(frozen=True, slots=True)
class Finding:
    """An instance that is broken, as Resource Graph knows it: some minutes ago."""

    instance: BackupInstanceId
    protection_state: str
    """One of `BROKEN`."""


@dataclass(frozen=True, slots=True)
class NoFinding:
    """A row that names no broken instance, and why it does not."""

    reason: str


def read_rows(rows: Iterable[object]) -> tuple[list[Finding], list[NoFinding]]:
    """Sort rows of `QUERY` into findings and the rest; a broken instance that comes twice is one finding."""
    findings: dict[BackupInstanceId, Finding] = {}
    rest: list[NoFinding] = []
    for row in rows:
        match read_row(row):
            case Finding() as finding:
                findings.setdefault(finding.instance, finding)
            case NoFinding() as nothing:
                rest.append(nothing)
    return list(findings.values()), rest


def read_row(row: object) -> Finding | NoFinding:
    """Read one row: `{"id", "protectionState"}`."""
    if not isinstance(row, Mapping):
        return NoFinding(f"expected an object, got {type(row).__name__}")
    try:
        instance = BackupInstanceId.parse(row.get("id"))
    except InvalidResourceId as invalid:
        return NoFinding(f"id: {invalid}")
    if str(instance).lower() != _plain(row["id"]):
        return NoFinding(f"id: {ascii(row['id'])[:300]} is something below a backup instance")
    state = row.get("protectionState")
    known = _KNOWN.get(state.lower()) if isinstance(state, str) else None
    if known is None:
        return NoFinding(f"protectionState: {ascii(state)[:100]} is none of {', '.join(BROKEN)}")
    return Finding(instance, known)


def _plain(resource_id: Any) -> str:
    return f"/{str(resource_id).strip().strip('/').lower()}"
