"""ARM ids of backup instances and Backup vaults, read from whatever an event, alert or person writes.

A name that its resource type cannot have is refused, so that nothing is stored and no call is made for it.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import ClassVar, Self
from unicodedata import category
from urllib.parse import quote

INSTANCE_OPERATIONS = "microsoft.dataprotection/backupvaults/backupinstances/"
"""The beginning of the names of all operations on backup instances, in lower case."""
MAX_ID_CHARS = 4096
_PROVIDERS = "/providers/"
_MAX_GROUP_CHARS = 90
_MAX_NAME_CHARS = 260
_LOWER_CASE = str.maketrans(ascii_uppercase, ascii_lowercase)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GROUP_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"})
_VAULT = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")
_NOT_IN_INSTANCE = frozenset('<>%&:\\?/#*"|')


def foreign_id(value: object) -> str | None:
    """A value of Azure's, if it has the form of an ARM id; None for anything else."""
    is_id = isinstance(value, str) and value.startswith("/subscriptions/") and len(value) <= MAX_ID_CHARS
    return value if is_id and isinstance(value, str) and value.isprintable() else None


class InvalidResourceId(ValueError):
    """The text is not the id of a backup instance or vault; the message says which part is wrong."""


class _ResourceId:
    """An ARM id with three or four names in it.

    Two ids are equal when they differ in the casing of ASCII letters only: ARM ids are case-insensitive as a whole
    (Azure Resource Manager, "Resource IDs"). The casing that came in is the casing that is shown.
    """

    __slots__ = ("_folded", "_names", "_text")
    _TEMPLATE: ClassVar[str]
    """Its segments; `{...}` are names."""
    _KIND: ClassVar[str]

    def __init__(self, *names: str) -> None:
        if not _UUID.fullmatch(names[0]):
            raise InvalidResourceId(f"the subscription id {_quoted(names[0])} is not a UUID")
        for kind, name in zip(_NAME_RULES, names[1:], strict=False):
            _check_name(kind, name)
        self._names = names
        self._text = self._render(names)
        self._folded = fold(self._text)

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read an id in any casing, with any segments behind its last name (`/backup`, `/sync`...).

        Raises:
            InvalidResourceId: the value is not text, or not such an id.
        """
        if not isinstance(text, str):
            raise InvalidResourceId(f"expected an ARM id as text, got {type(text).__name__}")
        if len(text) > MAX_ID_CHARS:
            raise InvalidResourceId(f"an ARM id of {len(text)} characters is too long")
        segments = text.strip().removeprefix("/").split("/")
        expected = cls._TEMPLATE.removeprefix("/").split("/")
        for position, fixed in enumerate(expected):
            if fixed[0] != "{" and fold("".join(segments[position : position + 1])) != fold(fixed):
                raise InvalidResourceId(f"{_quoted(text)} is not a {cls._KIND} id: expected {cls._TEMPLATE}")
        if len(segments) < len(expected):
            raise InvalidResourceId(f"{_quoted(text)} names no {cls._KIND}: expected {cls._TEMPLATE}")
        return cls(*(segment for segment, fixed in zip(segments, expected, strict=False) if fixed[0] == "{"))

    @property
    def subscription_id(self) -> str:
        """A UUID."""
        return self._names[0]

    @property
    def resource_group(self) -> str:
        """The name of the vault's resource group."""
        return self._names[1]

    @property
    def vault(self) -> str:
        """The vault's name."""
        return self._names[2]

    @property
    def url_path(self) -> str:
        """The id as the path of a URL: each name percent-encoded, so that no name can change the path."""
        return self._render([quote(name, safe="") for name in self._names])

    def __str__(self) -> str:
        """The ARM id, starting with a slash, without trailing segments."""
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._names!r}"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._folded == other._folded

    def __hash__(self) -> int:
        return hash(self._folded)

    @classmethod
    def _render(cls, names: Sequence[str]) -> str:
        remaining = iter(names)
        return re.sub(r"\{\w+\}", lambda _: next(remaining), cls._TEMPLATE)


class BackupVaultId(_ResourceId):
    """The ARM id of one Backup vault."""

    __slots__ = ()
    _KIND = "Backup vault"
    _TEMPLATE = (
        "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
        "/providers/Microsoft.DataProtection/backupVaults/{vaultName}"
    )

    def __init__(self, subscription_id: str, resource_group: str, vault: str) -> None:
        """Put it together from its names.

        Raises:
            InvalidResourceId: a name could not stand in an ARM id.
        """
        super().__init__(subscription_id, resource_group, vault)


class BackupInstanceId(_ResourceId):
    """The ARM id of one backup instance in a Backup vault."""

    __slots__ = ()
    _KIND = "backup instance"
    _TEMPLATE = BackupVaultId._TEMPLATE + "/backupInstances/{backupInstanceName}"

    def __init__(self, subscription_id: str, resource_group: str, vault: str, name: str) -> None:
        """Put it together from its names.

        Raises:
            InvalidResourceId: a name could not stand in an ARM id.
        """
        super().__init__(subscription_id, resource_group, vault, name)

    @property
    def name(self) -> str:
        """The instance's own name."""
        return self._names[3]

    @property
    def vault_id(self) -> BackupVaultId:
        """The vault that the instance is in."""
        return BackupVaultId(self.subscription_id, self.resource_group, self.vault)

    @property
    def key(self) -> str:
        """16 hex digits that are the same for every casing of this id: its place in storage."""
        return hashlib.sha256(self._folded.encode()).hexdigest()[:16]


def fold(text: str) -> str:
    """The text with ASCII letters in lower case and all others as they are.

    `str.lower` would make one name of two that Resource Manager tells apart: the Kelvin sign folds onto k.
    """
    return text.lower() if text.isascii() else text.translate(_LOWER_CASE)


def normalize(resource_id: str) -> str:
    """Any ARM id in the form in which two spellings of it are the same text: lower case, no slash at the end."""
    return fold(resource_id.strip().rstrip("/"))


def resource_type_of(resource_id: str) -> str | None:
    """The type of any resource by its ARM id: `Microsoft.DBforPostgreSQL/flexibleServers`; None if it names none.

    Of an extension resource it is the extension's own; a database's has two parts behind its provider.
    """
    start = fold(resource_id).rfind(_PROVIDERS)
    if start < 0:
        return None
    provider, *segments = resource_id[start + len(_PROVIDERS) :].rstrip("/").split("/")
    types = segments[::2]
    is_complete = len(segments) % 2 == 0 and all((provider, *segments))
    return "/".join((provider, *types)) if types and is_complete else None


def _check_name(kind: str, name: str) -> None:
    if not name:
        raise InvalidResourceId(f"the {kind} is empty")
    problem = _NAME_RULES[kind](name)
    if problem:
        raise InvalidResourceId(f"the {kind} {_quoted(name)} {problem}")


def _group_problem(name: str) -> str | None:
    """Check a resource group's name; letters and digits are those of `Char.IsLetterOrDigit`.

    Microsoft Learn, "Naming rules and restrictions for Azure resources", Microsoft.Resources.
    """
    if len(name) > _MAX_GROUP_CHARS:
        return f"has {len(name)} characters, at most {_MAX_GROUP_CHARS} are allowed"
    if not all(character in "_-.()" or category(character) in _GROUP_CATEGORIES for character in name):
        return "may have letters, digits, underscores, hyphens, periods and parentheses only"
    return "ends with a period" if name.endswith(".") else None


def _vault_problem(name: str) -> str | None:
    """Check a Backup vault's name (Microsoft Learn, "Create and delete Backup vaults")."""
    fits = _VAULT.fullmatch(name)
    return None if fits else "is not 2 to 50 letters, digits and hyphens that begin with a letter"


def _instance_problem(name: str) -> str | None:
    """Check a backup instance's name.

    Neither the REST reference nor the naming rules say anything about it. This is what Resource Manager lets no
    resource's name have.
    """
    if len(name) > _MAX_NAME_CHARS:
        return f"has {len(name)} characters, at most {_MAX_NAME_CHARS} are allowed"
    if not name.isprintable() or _NOT_IN_INSTANCE & set(name):
        return "holds a character that no name in Resource Manager may have"
    if name.startswith(" ") or name.endswith((" ", ".")):
        return "begins with a blank, or ends with a blank or a period"
    return None


_NAME_RULES: Mapping[str, Callable[[str], str | None]] = {
    "resource group name": _group_problem,
    "vault name": _vault_problem,
    "backup instance name": _instance_problem,
}


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 200 else text[:200] + "...")
