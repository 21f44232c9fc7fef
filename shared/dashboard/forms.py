"""Reads the page's forms from untrusted bytes; a form that cannot be used is an `ApiError` whose message says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from shared.api.errors import ApiError
from shared.domain.pause import MAX_SCOPE_CHARS
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType, read_sync_type

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
_MAX_BYTES = 16 * 1024
"""A form has a few hundred."""
_MAX_FIELDS = 120
"""The list's form has one for each row that is selected."""
MAX_REASON_CHARS = 500
DAYS_CHOICES = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class SyncForm:
    """The form "Sync now"."""

    instance: BackupInstanceId
    sync_type: SyncType | None
    """None for the app's setting."""
    reason: str
    is_forced: bool
    """Whether it is to begin whatever the cool-down and the daily cap say."""


def read_pairs(content_type: str, body: bytes) -> Sequence[tuple[str, str]]:
    """The fields of a posted form with their values, in their order.

    Raises:
        ApiError: 415 another Content-Type, 413 more than 16 KiB, 400 not UTF-8 or more than 120 fields.
    """
    if content_type.partition(";")[0].strip().lower() != FORM_CONTENT_TYPE:
        message = f"expected a form ({FORM_CONTENT_TYPE}), got {ascii(content_type)[:100]}"
        raise ApiError(415, "UnsupportedMediaType", message)
    if len(body) > _MAX_BYTES:
        raise ApiError(413, "RequestTooLarge", f"the form has {len(body)} bytes, at most {_MAX_BYTES} are allowed")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as cause:
        raise invalid_request(f"the form cannot be read: {cause}") from cause


def read_sync_form(fields: Mapping[str, str]) -> SyncForm:
    """The form "Sync now".

    Raises:
        ApiError: 400, a field is missing or cannot be used.
    """
    resource_id = fields.get("backupInstanceId", "").strip()
    if not resource_id:
        raise invalid_request("Backup instance: enter the instance's Azure resource id")
    try:
        instance = BackupInstanceId.parse(resource_id)
    except ValueError as invalid:
        raise invalid_request(f"Backup instance: {invalid}") from invalid
    try:
        sync_type = read_sync_type(fields.get("syncType") or None)
    except ValueError as invalid:
        raise invalid_request(f"Sync type: {invalid}") from invalid
    reason = read_reason(fields, "requested on the dashboard")
    return SyncForm(instance, sync_type, reason, is_forced=read_force(fields))


def read_force(fields: Mapping[str, str]) -> bool:
    """The field "Even within the cooldown".

    Raises:
        ApiError: 400, it is neither checked nor unchecked.
    """
    force = fields.get("force", "")
    if force not in ("", "true"):
        raise invalid_request(f"Force: expected true or nothing, got {ascii(force)[:100]}")
    return force == "true"


def read_reason(fields: Mapping[str, str], default: str) -> str:
    """The field "Reason", or the default if it is empty.

    Raises:
        ApiError: 400, it is too long.
    """
    reason = fields.get("reason", "").strip() or default
    if len(reason) > MAX_REASON_CHARS:
        raise invalid_request(f"Reason: it has {len(reason)} characters, at most {MAX_REASON_CHARS} are allowed")
    return reason


def read_days(fields: Mapping[str, str]) -> int:
    """The field "For", in days.

    Raises:
        ApiError: 400, it is none of `DAYS_CHOICES`.
    """
    for days in DAYS_CHOICES:
        if fields.get("days") == str(days):
            return days
    raise invalid_request(f"For: {ascii(fields.get('days'))[:100]} is none of the choices")


def read_scope(fields: Mapping[str, str]) -> str:
    """The field "Instances", a glob on ARM ids.

    Raises:
        ApiError: 400, it is empty, too long, or has characters that no id has.
    """
    scope = fields.get("scope", "").strip()
    if not scope or len(scope) > MAX_SCOPE_CHARS or not (scope.isascii() and scope.isprintable()):
        raise invalid_request(f"Instances: enter a glob on resource ids of at most {MAX_SCOPE_CHARS} characters")
    return scope


def invalid_request(message: str) -> ApiError:
    """400, as the API answers it."""
    return ApiError(400, "InvalidRequest", message)
