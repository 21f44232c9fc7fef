"""The host's configuration: host.json, local.settings.json and the access keys.

Meanings and defaults follow Microsoft Learn "host.json reference for Azure Functions 2.x and later" and
"Azure Queue storage trigger and bindings: host.json settings".
"""

import hmac
import os
import re
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T", bound=msgspec.Struct)
_TimeSpan = Annotated[str, Meta(pattern=r"^\d\d:\d\d:\d\d(\.\d+)?$")]
"""hh:mm:ss"""
_Key = Annotated[str, Meta(min_length=1)]
"""An empty key would open the host to requests that carry none."""


class ConfigurationError(Exception):
    """A file or a function that the host cannot work with; the message says which and why."""


class QueueSettings(msgspec.Struct, frozen=True, rename="camel"):
    """host.json `extensions.queues`; the durations are the real host's defaults."""

    batch_size: Annotated[int, Meta(ge=1, le=32)] = 16
    new_batch_threshold: Annotated[int, Meta(ge=0, le=1000)] = 8
    max_dequeue_count: Annotated[int, Meta(ge=1)] = 5
    visibility_timeout: _TimeSpan = "00:00:00"
    max_polling_interval: _TimeSpan = "00:01:00"
    message_encoding: Literal["base64"] = "base64"


class HttpSettings(msgspec.Struct, frozen=True, rename="camel"):
    """host.json `extensions.http`."""

    route_prefix: str = "api"


class HostSettings(msgspec.Struct, frozen=True):
    """host.json `extensions`, as far as a local host acts on it."""

    http: HttpSettings = HttpSettings()
    queues: QueueSettings = QueueSettings()


class _HostJson(msgspec.Struct):
    extensions: HostSettings = HostSettings()


class _LocalSettings(msgspec.Struct, rename={"values": "Values"}):
    values: dict[str, str] = {}


class Keys(msgspec.Struct, frozen=True):
    """One key per level: master opens everything, function the HTTP functions, system the webhooks."""

    master: _Key
    function: _Key
    system: _Key

    def opens(self, level: str, given: str | None) -> bool:
        """Whether the key `given` is good for "anonymous", "function", "admin" or "system"."""
        keys = (self.master, getattr(self, level, self.master))
        # Every key is compared, each in constant time, so that the time of an answer tells nothing.
        fits = [hmac.compare_digest((given or "").encode(), key.encode()) for key in keys]
        return level == "anonymous" or any(fits)


def seconds(time_span: str) -> float:
    """The length of an `hh:mm:ss[.fff]`."""
    hours, minutes, rest = time_span.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def thread_count(environment: Mapping[str, str]) -> int | None:
    """`PYTHON_THREADPOOL_THREAD_COUNT` (Microsoft Learn, "App settings reference"); None where it is not set.

    Raises:
        ConfigurationError: it is no number from 1 to 32.
    """
    text = environment.get("PYTHON_THREADPOOL_THREAD_COUNT", "").strip()
    if not text:
        return None
    if not re.fullmatch("[1-9]|[12][0-9]|3[0-2]", text):
        raise ConfigurationError(f"PYTHON_THREADPOOL_THREAD_COUNT is no number from 1 to 32: {text}")
    return int(text)


def read_host_settings(app_directory: Path) -> HostSettings:
    """Read DIR/host.json (absent: all defaults); raises ConfigurationError when it cannot be used."""
    path = app_directory / "host.json"
    return _read(path, _HostJson).extensions if path.exists() else HostSettings()


def apply_local_settings(app_directory: Path, environment: MutableMapping[str, str]) -> None:
    """Add the "Values" of DIR/local.settings.json to the environment; what is set there already wins."""
    path = app_directory / "local.settings.json"
    if path.exists():
        for name, value in _read(path, _LocalSettings).values.items():
            environment.setdefault(name, value)


def load_keys(path: Path) -> Keys:
    """Read the keys file, or create it (mode 0600) with random keys; raises ConfigurationError."""
    if path.exists():
        return _read(path, Keys)
    keys = Keys(*(secrets.token_urlsafe(32) for _ in range(3)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(keys))
    return keys


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_text(encoding="utf-8-sig"), type=kind)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
