"""Readers of the values of settings, each from the text of an environment variable.

They raise ValueError with what they expect. Standard library only: this is on the way of every cold start.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from shared.domain.notify_settings import UNRESOLVED
from shared.domain.resource_ids import fold
from shared.domain.signal import SyncType, read_sync_type

if TYPE_CHECKING:
    from shared.domain.error_codes import CodeEntry

MAX_DAYS = 3650
"""The longest duration that a setting may have: ten years."""

_APP = Path(__file__).parents[1]
_MAX_FILE_BYTES = 1024 * 1024

Word = TypeVar("Word", bound=StrEnum)


def one_of(words: type[Word]) -> Callable[[str], Word]:
    """A reader of one of these words; it raises ValueError for any other text."""

    def read(text: str) -> Word:
        for word in words:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"expected one of {', '.join(words)}")

    return read


def duration(text: str) -> timedelta:
    """ISO 8601 (`PT6H`, `P1DT30M`) or `HH:MM:SS`."""
    iso = re.fullmatch(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text.upper())
    clock = re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", text)
    if iso and any(iso.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
    elif clock:
        days, (hours, minutes, seconds) = 0, (int(part) for part in clock.groups())
    else:
        raise ValueError("expected a duration such as PT6H or 06:00:00")
    if days * 24 * 3600 + hours * 3600 + minutes * 60 + seconds > MAX_DAYS * 24 * 3600:
        raise ValueError(f"expected no more than {MAX_DAYS} days")
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def positive_duration(text: str) -> timedelta:
    """A duration longer than zero."""
    read = duration(text)
    if not read:
        raise ValueError("expected a duration longer than zero")
    return read


def duration_or_off(text: str) -> timedelta | None:
    """A duration, or None for `off`."""
    return None if text.lower() == "off" else duration(text)


def durations(text: str) -> tuple[timedelta, ...]:
    """Durations, separated by commas."""
    return tuple(duration(part.strip()) for part in text.split(","))


def globs(text: str) -> tuple[str, ...]:
    """Globs, separated by commas, folded as ARM ids are compared."""
    return tuple(fold(glob.strip()) for glob in text.split(",") if glob.strip())


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"0|[1-9]\d{0,5}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return read


def https_url(text: str) -> str:
    """An https URL without user, query and fragment."""
    url = urlsplit(text)
    if url.scheme != "https" or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError("expected an https URL without user, query and fragment")
    return text.rstrip("/")


def webhook_url(text: str) -> str:
    """The URL of a webhook, which may have a query, or a Key Vault reference that is not resolved."""
    url = urlsplit(text)
    if text.startswith(UNRESOLVED):
        return text  # a vault that cannot be reached must not keep the app from healing
    # `port` raises for one that is none.
    if url.scheme != "https" or not url.hostname or url.username or url.fragment or url.port == 0 or not text.isascii():
        raise ValueError("expected an https URL without user and fragment, or a Key Vault reference")
    return text


def sync_type(text: str) -> SyncType:
    """A sync type; `Default` for an empty text."""
    return read_sync_type(text) or SyncType.DEFAULT


def hosts(text: str) -> tuple[str, ...]:
    """Host names, separated by commas: `name`, `name:port` or `*.name`."""
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    for host in hosts:
        if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?", host):
            raise ValueError("expected host names separated by commas, each as name, name:port or *.name")
    return hosts


def schedule(text: str) -> str:
    """An NCRONTAB expression with six fields."""
    if not re.fullmatch(r"[\d*/,-]+( [\d*/,-]+){4}( [\w*/,-]+)", text):
        raise ValueError("expected an NCRONTAB expression such as */30 * * * * *")
    return text


def schedule_or_off(text: str) -> str | None:
    """A schedule, or None for `off`."""
    return None if text.lower() == "off" else schedule(text)


def subscriptions(text: str) -> tuple[str, ...]:
    """Subscription ids in lower case, without repeats."""
    ids = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for subscription_id in ids:
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", subscription_id):
            raise ValueError("expected subscription ids (UUIDs) separated by commas")
    return ids


def text(text: str) -> str:
    """Any text."""
    return text


def error_codes(text: str) -> "tuple[CodeEntry, ...]":
    """JSON text, or the path of a JSON file in the app's folder."""
    from shared.domain.error_codes import read_entries  # not on the way of a cold start

    try:
        return read_entries(text if text.startswith(("[", "{")) else _read_file(text))
    except ValueError as cause:
        reason = " ".join(str(cause).split())[:300]
        raise ValueError(
            f"expected a JSON list of codes, or the path of such a file in the app, got {reason}"
        ) from cause


def _read_file(path: str) -> str:
    """A file of the app, by its path in the app's folder.

    Raises:
        ValueError: there is no such file, or it is too large to be a table of codes.
    """
    try:
        file = (_APP / path).resolve()
        if not file.is_relative_to(_APP.resolve()) or not file.is_file():
            raise ValueError(f"no file {ascii(path)[:100]} in the app")
        if file.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"a file of more than {_MAX_FILE_BYTES} bytes")
        return file.read_text(encoding="utf-8")
    except OSError as cause:
        raise ValueError(f"a file that cannot be read: {cause}") from cause
