"""The catalogue of Azure Backup's error codes: whether a sync can mend what one stands for, and what is to be done.

`error_codes.json` beside this module is the table; users put entries of their own before it. Facts are from the
troubleshooting articles of Azure Backup (each entry links to its own) and from recorded traffic; the class is a
judgement where an article names no remedy. Azure's own `isRetryable` is false in every sample seen, so the code alone
decides. Pure; the table is read when a code is first looked up.
"""

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from shared.domain.arm_results import ArmError, is_own_code

MAX_ENTRIES = 1_000
"""Of a user's own table."""
_TABLE_FILE = Path(__file__).with_name("error_codes.json")
_EXTRA_NAMES = re.compile("^(?:bms|dpp)+|(?:bms|dpp)+$")
"""Names of Azure Backup's services, which some codes begin or end with."""


class ErrorClass(StrEnum):
    """How a failure with this code can be mended."""

    TRANSIENT = "Transient"
    """By a sync alone: try soon, and more often."""
    PERSON = "Person"
    """By a sync, once somebody has repaired something, or a new role has begun to act: try patiently."""
    NEVER = "Never"
    """By no sync."""
    JOB = "Job"
    """By the next backup: a job failed, and a sync repeats no job."""


NEEDING_PERSON = frozenset({ErrorClass.PERSON, ErrorClass.NEVER})
"""Classes of errors that stay until somebody does something."""


class Remedy(StrEnum):
    """A cause that one command of Azure's CLI can repair."""

    ROLE = "Role"
    LOCK = "Lock"
    REGISTRATION = "Registration"


class Scope(StrEnum):
    """The kind of resource where a role is missing, or a lock is in the way."""

    DATASOURCE = "Datasource"
    DATABASE_SERVER = "DatabaseServer"
    SNAPSHOT_RESOURCE_GROUP = "SnapshotResourceGroup"
    DISK_ENCRYPTION_SET = "DiskEncryptionSet"
    KEY_VAULT = "KeyVault"
    STAGING_STORAGE_ACCOUNT = "StagingStorageAccount"
    """That the backup extension of a cluster writes to."""


class Assignee(StrEnum):
    """Whose role is missing."""

    VAULT = "Vault"
    EXTENSION = "Extension"
    """The backup extension of a Kubernetes cluster."""


_Text = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
_Pattern = Annotated[str, Meta(max_length=200, pattern=r"^(?=.*[A-Za-z]{3})[A-Za-z0-9_.*-]+$")]


class CodeEntry(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An entry of the catalogue: some codes that mean the same."""

    codes: Annotated[tuple[_Pattern, ...], Meta(min_length=1, max_length=100)]
    """Codes, or globs with `*`; their case does not matter."""
    error_class: ErrorClass = field(name="class")
    what_to_do: _Text
    """One sentence for an operator."""
    meaning: _Text | None = None
    """One sentence: what is wrong."""
    link: Annotated[str, Meta(max_length=500, pattern=r"^https://[A-Za-z0-9.-]+(/[!-~]*)?$")] | None = None
    """An article about it."""
    remedy: Remedy | None = None
    role: _Text | None = None
    """Of a remedy `Role`: the name of a built-in role, or of one's own."""
    scope: Scope | None = None
    """Of a remedy `Role` or `Lock`."""
    assignee: Assignee = Assignee.VAULT
    provider: Annotated[str, Meta(max_length=100, pattern=r"^[A-Za-z0-9.]+$")] | None = None
    """Of a remedy `Registration`: the namespace of a resource provider."""

    def __post_init__(self) -> None:
        """A remedy has all that its command needs.

        Raises:
            ValueError: it has not.
        """
        needed = {Remedy.ROLE: ("role", "scope"), Remedy.LOCK: ("scope",), Remedy.REGISTRATION: ("provider",)}
        for name in needed[self.remedy] if self.remedy else ():
            if getattr(self, name) is None:
                raise ValueError(f"the remedy {self.remedy} needs {name}")


def read_entries(text: str) -> tuple[CodeEntry, ...]:
    """A table of entries, as JSON.

    Raises:
        ValueError: the text is no such table; the message says where.
    """
    kind = Annotated[tuple[CodeEntry, ...], Meta(max_length=MAX_ENTRIES)]
    try:
        return msgspec.convert(json.loads(text), kind)
    except RecursionError as cause:
        raise ValueError("nested too deep") from cause


class _Table:
    """Entries by code; a code comes before a glob, an earlier glob before a later one."""

    def __init__(self, entries: Sequence[CodeEntry]) -> None:
        codes = [(code, entry) for entry in entries for code in entry.codes]
        self._exact = {_fold(code): (code, entry) for code, entry in reversed(codes) if "*" not in code}
        self._globs = [(_fold(code), (code, entry)) for code, entry in codes if "*" in code]

    def find(self, folded: str) -> tuple[str, CodeEntry] | None:
        return self._exact.get(folded) or next(
            (found for glob, found in self._globs if fnmatchcase(folded, glob)), None
        )


class ErrorCodes:
    """Looks codes up: first in a user's own entries, then in the table."""

    def __init__(self, own: Sequence[CodeEntry] = ()) -> None:
        """These entries come before the table."""
        self._own = own

    @cached_property
    def entries(self) -> Sequence[CodeEntry]:
        """All of them, in the order in which they are looked up."""
        return (*self._own, *_built_in())

    def find(self, code: str) -> tuple[str, CodeEntry] | None:
        """The entry of a code, and which of its codes or globs it is; None for an unknown code."""
        folded = _fold(code)
        return self._own_table.find(folded) or _built_in_table().find(folded)

    def entry_of(self, error: ArmError | None) -> CodeEntry | None:
        """The entry of an error of Azure's own; None for an unknown one."""
        code = azure_code(error)
        found = self.find(code) if code else None
        return found[1] if found else None

    def class_of(self, error: ArmError | None) -> ErrorClass | None:
        """How an error of Azure's own can be mended; None if nothing is known of it."""
        entry = self.entry_of(error)
        return entry.error_class if entry else None

    @cached_property
    def _own_table(self) -> _Table:
        return _Table(self._own)


BUILT_IN = ErrorCodes()
"""The table alone."""


def azure_code(error: ArmError | None) -> str | None:
    """The code of an error, if it is Azure's own, and not one that this app gave it."""
    code = error.get("code") if error else None
    return code if isinstance(code, str) and code and not is_own_code(code) else None


def same_code(code: str) -> str:
    """The form in which two spellings of a code are the same text."""
    return _fold(code)


@cache
def _built_in() -> tuple[CodeEntry, ...]:
    return read_entries(_TABLE_FILE.read_text(encoding="utf-8"))


@cache
def _built_in_table() -> _Table:
    return _Table(_built_in())


def _fold(code: str) -> str:
    """The form in which two spellings of a code are the same text."""
    return _EXTRA_NAMES.sub("", code.lower())
