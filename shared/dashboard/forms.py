"""What the page's forms send: bytes that anybody may have sent, on their way to plain fields. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId
from shared.domain.signal import SyncType, read_sync_type

TYPE = "application/x-www-form-urlencoded"
_LARGEST = 16 * 1024
"""Bytes; a form is a few hundred."""
_MOST_FIELDS = 50
LONGEST_REASON = 500
"""Characters."""


class InvalidForm(ValueError):
    """The form cannot be used; the message says which field, why and what is expected."""


class NoForm(InvalidForm):
    """What was sent is of another type, says its Content-Type."""


class FormTooLarge(InvalidForm):
    """What was sent has more bytes than the page ever sends."""


@dataclass(frozen=True, slots=True)
class SyncForm:
    """The form "Sync now"."""

    instance: BackupInstanceId
    sync_type: SyncType | None
    """None for the app's setting."""
    reason: str


def read_fields(content_type: str, body: bytes) -> Mapping[str, str]:
    """The fields of a posted form; of a repeated one the last.

    Raises:
        NoForm: another Content-Type.
        FormTooLarge: more bytes than are read.
        InvalidForm: it cannot be read.
    """
    if content_type.partition(";")[0].strip().lower() != TYPE:
        raise NoForm(f"expected a form ({TYPE}), got {ascii(content_type)[:100]}")
    if len(body) > _LARGEST:
        raise FormTooLarge(f"the form has {len(body)} bytes, at most {_LARGEST} are read")
    try:
        text = body.decode()
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as cause:
        raise InvalidForm(f"the form cannot be read: {cause}") from cause
    return dict(fields)


def read_sync(fields: Mapping[str, str]) -> SyncForm:
    """The form "Sync now".

    Raises:
        InvalidForm: a field is missing or cannot be used.
    """
    named = fields.get("backupInstanceId", "").strip()
    if not named:
        raise InvalidForm("Backup instance: give the instance's Azure resource id")
    try:
        instance = BackupInstanceId.parse(named)
    except InvalidResourceId as invalid:
        raise InvalidForm(f"Backup instance: {invalid}") from invalid
    try:
        sync_type = read_sync_type(fields.get("syncType") or None)
    except ValueError as invalid:
        raise InvalidForm(f"Sync type: {invalid}") from invalid
    return SyncForm(instance, sync_type, read_reason(fields, "requested on the dashboard"))


def read_reason(fields: Mapping[str, str], default: str) -> str:
    """The field "Reason", which may be left empty.

    Raises:
        InvalidForm: it is too long.
    """
    reason = fields.get("reason", "").strip() or default
    if len(reason) > LONGEST_REASON:
        raise InvalidForm(f"Reason: it has {len(reason)} characters, at most {LONGEST_REASON} are kept")
    return reason
