"""The ids of a backup instance and of its vault, read from whatever an event, alert or person writes."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

INSTANCE_OPERATIONS = "microsoft.dataprotection/backupvaults/backupinstances/"
"""How the names of all operations on backup instances begin, in lower case."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class _Form(NamedTuple):
    """What an id looks like: its fixed segments by position, and how many there are at least."""

    what: str
    fixed: Mapping[int, str]
    least: int
    text: str


_VAULT = _Form(
    "Backup vault",
    {0: "subscriptions", 2: "resourcegroups", 4: "providers", 5: "microsoft.dataprotection", 6: "backupvaults"},
    8,
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
    "/providers/Microsoft.DataProtection/backupVaults/{vaultName}",
)
_INSTANCE = _Form(
    "backup instance",
    {**_VAULT.fixed, 8: "backupinstances"},
    10,
    _VAULT.text + "/backupInstances/{backupInstanceName}",
)
_LONGEST_NAME = 260
_LONGEST_ID = 4096
_FORBIDDEN = frozenset("/\\?#%")


class InvalidResourceId(ValueError):
    """The text names no backup instance or vault; the message says which part is wrong and what is expected."""


@dataclass(frozen=True, slots=True, eq=False)
class BackupVaultId:
    """The ARM id of one Backup vault; equal in any casing, as a backup instance's is."""

    subscription_id: str
    resource_group: str
    vault: str

    def __post_init__(self) -> None:
        """Check each part; every way to make an id passes here.

        Raises:
            InvalidResourceId: a part could not stand in an ARM id.
        """
        _check_place(self.subscription_id, self.resource_group, self.vault)

    @classmethod
    def parse(cls, text: object) -> "BackupVaultId":
        """Read an id in any casing, with any segments behind the vault's name.

        Raises:
            InvalidResourceId: the value is not text, or names no Backup vault.
        """
        segments = _segments(text, _VAULT)
        return cls(segments[1], segments[3], segments[7])

    def __str__(self) -> str:
        """The ARM id, starting with a slash, without trailing segments."""
        return _render_vault(self.subscription_id, self.resource_group, self.vault)

    @property
    def url_path(self) -> str:
        """The id as the path of a URL, each name percent-encoded."""
        return _render_vault(
            *(quote(part, safe="") for part in (self.subscription_id, self.resource_group, self.vault))
        )

    def __eq__(self, other: object) -> bool:
        """Equal in any casing."""
        return isinstance(other, BackupVaultId) and str(self).lower() == str(other).lower()

    def __hash__(self) -> int:
        """Equal ids hash alike."""
        return hash(str(self).lower())


@dataclass(frozen=True, slots=True, eq=False)
class BackupInstanceId:
    """The ARM id of one backup instance in a Backup vault.

    Two ids are equal when they differ in casing only: ARM ids are case-insensitive as a whole
    (Azure Resource Manager, "Resource IDs"). The casing that came in is the casing that is shown.
    """

    subscription_id: str
    resource_group: str
    vault: str
    name: str

    def __post_init__(self) -> None:
        """Check each part; every way to make an id passes here.

        Raises:
            InvalidResourceId: a part could not stand in an ARM id.
        """
        _check_place(self.subscription_id, self.resource_group, self.vault)
        _check_name("backup instance name", self.name)

    @classmethod
    def parse(cls, text: object) -> "BackupInstanceId":
        """Read an id in any casing, with any segments behind the instance's name (`/backup`, `/sync`...).

        Raises:
            InvalidResourceId: the value is not text, or names no backup instance of a Backup vault.
        """
        segments = _segments(text, _INSTANCE)
        return cls(segments[1], segments[3], segments[7], segments[9])

    def __str__(self) -> str:
        """The ARM id, starting with a slash, without trailing segments."""
        return _render(*self._parts)

    @property
    def vault_id(self) -> BackupVaultId:
        """The vault that the instance is in."""
        return BackupVaultId(self.subscription_id, self.resource_group, self.vault)

    @property
    def url_path(self) -> str:
        """The id as the path of a URL: each name percent-encoded, so that no name can change the path."""
        return _render(*(quote(part, safe="") for part in self._parts))

    @property
    def key(self) -> str:
        """16 hex digits that are the same for every casing of this id: its place in storage."""
        return hashlib.sha256(str(self).lower().encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        """Equal in any casing."""
        return isinstance(other, BackupInstanceId) and str(self).lower() == str(other).lower()

    def __hash__(self) -> int:
        """Equal ids hash alike."""
        return hash(str(self).lower())

    @property
    def _parts(self) -> tuple[str, str, str, str]:
        return self.subscription_id, self.resource_group, self.vault, self.name


def normalize(resource_id: str) -> str:
    """Any ARM id in the form in which two spellings of it are the same text: lower case, no slash at the end."""
    return resource_id.strip().rstrip("/").lower()


def _segments(text: object, form: _Form) -> Sequence[str]:
    if not isinstance(text, str):
        raise InvalidResourceId(f"expected an ARM id as text, got {type(text).__name__}")
    if len(text) > _LONGEST_ID:
        raise InvalidResourceId(f"an ARM id of {len(text)} characters is too long")
    segments = text.strip().removeprefix("/").split("/")
    for position, expected in form.fixed.items():
        if position >= len(segments) or segments[position].lower() != expected:
            raise InvalidResourceId(f"{_show(text)} is not a {form.what} id: expected {form.text}")
    if len(segments) < form.least:
        raise InvalidResourceId(f"{_show(text)} names no {form.what}: expected {form.text}")
    return segments


def _render_vault(subscription_id: str, resource_group: str, vault: str) -> str:
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.DataProtection/backupVaults/{vault}"
    )


def _render(subscription_id: str, resource_group: str, vault: str, name: str) -> str:
    return f"{_render_vault(subscription_id, resource_group, vault)}/backupInstances/{name}"


def _check_place(subscription_id: str, resource_group: str, vault: str) -> None:
    if not _UUID.fullmatch(subscription_id):
        raise InvalidResourceId(f"the subscription id {_show(subscription_id)} is not a UUID")
    _check_name("resource group name", resource_group)
    _check_name("vault name", vault)


def _check_name(what: str, name: str) -> None:
    if not name:
        raise InvalidResourceId(f"the {what} is empty")
    if len(name) > _LONGEST_NAME:
        raise InvalidResourceId(f"the {what} has {len(name)} characters, at most {_LONGEST_NAME} are allowed")
    if not name.isprintable() or _FORBIDDEN & set(name):
        raise InvalidResourceId(f"the {what} {_show(name)} holds a character that no ARM name may have")
    if not name.strip("."):
        # "." and ".." would climb in a URL's path.
        raise InvalidResourceId(f"the {what} {_show(name)} is not a name")


def _show(text: str) -> str:
    return ascii(text if len(text) <= 200 else text[:200] + "...")
