"""The id of a backup instance, read from whatever an event, alert or person writes."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FORM = (
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
    "/providers/Microsoft.DataProtection/backupVaults/{vaultName}/backupInstances/{backupInstanceName}"
)
_FIXED = {
    0: "subscriptions",
    2: "resourcegroups",
    4: "providers",
    5: "microsoft.dataprotection",
    6: "backupvaults",
    8: "backupinstances",
}
_SEGMENTS = 10
_LONGEST_NAME = 260
_LONGEST_ID = 4096
_FORBIDDEN = frozenset("/\\?#%")


class InvalidResourceId(ValueError):
    """The text names no backup instance; the message says which part is wrong and what is expected."""


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
        if not _UUID.fullmatch(self.subscription_id):
            raise InvalidResourceId(f"the subscription id {_show(self.subscription_id)} is not a UUID")
        for what, name in (
            ("resource group name", self.resource_group),
            ("vault name", self.vault),
            ("backup instance name", self.name),
        ):
            _check_name(what, name)

    @classmethod
    def parse(cls, text: object) -> "BackupInstanceId":
        """Read an id in any casing, with any segments behind the instance's name (`/backup`, `/sync`...).

        Raises:
            InvalidResourceId: the value is not text, or names no backup instance of a Backup vault.
        """
        if not isinstance(text, str):
            raise InvalidResourceId(f"expected an ARM id as text, got {type(text).__name__}")
        if len(text) > _LONGEST_ID:
            raise InvalidResourceId(f"an ARM id of {len(text)} characters is too long")
        segments = text.strip().removeprefix("/").split("/")
        for position, expected in _FIXED.items():
            if position >= len(segments) or segments[position].lower() != expected:
                raise InvalidResourceId(f"{_show(text)} is not a backup instance id: expected {_FORM}")
        if len(segments) < _SEGMENTS:
            raise InvalidResourceId(f"{_show(text)} names no backup instance: expected {_FORM}")
        return cls(segments[1], segments[3], segments[7], segments[9])

    def __str__(self) -> str:
        """The ARM id, starting with a slash, without trailing segments."""
        return _render(*self._parts)

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


def _render(subscription_id: str, resource_group: str, vault: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.DataProtection/backupVaults/{vault}/backupInstances/{name}"
    )


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
