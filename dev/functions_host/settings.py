"""What the host reads before it starts: host.json, local.settings.json, app settings, access keys.

Meanings and defaults follow Microsoft Learn "host.json reference for Azure Functions 2.x and later" and
"Azure Queue storage trigger and bindings: host.json settings".
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

# The account that Azurite documents for everybody: no secret, and what this short form always stands for.
DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
_TIMESPAN = re.compile(
    r"(?:(?P<days>\d+)\.)?(?P<hours>[01]?\d|2[0-3]):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d(?:\.\d+)?)"
)
_SETTING = re.compile(r"%([^%]+)%")


class ConfigurationError(Exception):
    """A file, a setting or a binding that the host cannot work with; the message says which and why."""


@dataclass(frozen=True)
class QueueSettings:
    """host.json `extensions.queues`; the durations are the real host's defaults."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    max_polling_interval: timedelta = timedelta(minutes=1)
    message_encoding: Literal["base64", "none"] = "base64"


@dataclass(frozen=True)
class HostSettings:
    """The parts of host.json that a local host acts on; log levels are host.json's words by category."""

    route_prefix: str = "api"
    queues: QueueSettings = field(default_factory=QueueSettings)
    log_levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Keys:
    """One key per level: master opens everything, function the HTTP functions, system the webhooks."""

    master: str
    function: str
    system: str

    def opens(self, level: str, given: str | None) -> bool:
        """Tell whether `given` is good for "anonymous", "function", "admin" or "system"."""
        if level == "anonymous":
            return True
        accepted = {"function": (self.function, self.master), "system": (self.system, self.master)}
        keys = accepted.get(level, (self.master,))
        # Every key is compared, each in constant time, so that an answer's delay tells nothing.
        fits = [hmac.compare_digest((given or "").encode(), key.encode()) for key in keys]
        return any(fits)

    def as_json(self) -> dict[str, str]:
        """The shape of the keys file."""
        return {"master": self.master, "function": self.function, "system": self.system}


def parse_timespan(text: str) -> timedelta:
    """Read .NET's `[d.]hh:mm:ss[.fff]`; raises ConfigurationError for anything else."""
    match = _TIMESPAN.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"{text!r} is no time span: expected hh:mm:ss")
    return timedelta(
        days=int(match["days"] or 0),
        hours=int(match["hours"]),
        minutes=int(match["minutes"]),
        seconds=float(match["seconds"]),
    )


def read_host_settings(app_directory: Path) -> HostSettings:
    """Read DIR/host.json (absent: all defaults); raises ConfigurationError when it cannot be used."""
    document = _read_object(app_directory / "host.json")
    extensions = document.get("extensions", {})
    levels = document.get("logging", {}).get("logLevel", {})
    return HostSettings(
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
        queues=_queue_settings(extensions.get("queues", {})),
        log_levels={str(category): str(level) for category, level in levels.items()},
    )


def _queue_settings(section: Mapping[str, Any]) -> QueueSettings:
    defaults = QueueSettings()
    batch_size = _whole_number(section, "batchSize", defaults.batch_size, 1, 32)
    encoding = str(section.get("messageEncoding", defaults.message_encoding)).lower()
    if encoding not in ("base64", "none"):
        raise ConfigurationError(f"host.json: queues.messageEncoding is {encoding!r}, not base64 or none")
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=_whole_number(section, "newBatchThreshold", batch_size // 2, 0, 1000),
        max_dequeue_count=_whole_number(section, "maxDequeueCount", defaults.max_dequeue_count, 1, 1000),
        visibility_timeout=_timespan(section, "visibilityTimeout", defaults.visibility_timeout),
        max_polling_interval=_timespan(section, "maxPollingInterval", defaults.max_polling_interval),
        message_encoding="none" if encoding == "none" else "base64",
    )


def _whole_number(section: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = section.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(f"host.json: queues.{name} is {value!r}: expected {least} to {most}")
    return value


def _timespan(section: Mapping[str, Any], name: str, default: timedelta) -> timedelta:
    return parse_timespan(str(section[name])) if name in section else default


def _read_object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path.name} is no JSON object")
    return document


def apply_local_settings(app_directory: Path, environment: MutableMapping[str, str]) -> None:
    """Add the "Values" of DIR/local.settings.json to the environment; what is set there already wins."""
    values = _read_object(app_directory / "local.settings.json").get("Values", {})
    for name, value in values.items():
        environment.setdefault(str(name), str(value))


def resolve_settings(text: str, environment: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by that app setting; raises ConfigurationError when one is not set."""

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            raise ConfigurationError(f"'%{name}%' does not resolve to a value")
        return environment[name]

    return _SETTING.sub(value_of, text)


def storage_connection(name: str, environment: Mapping[str, str]) -> str:
    """The connection string that a binding's `connection` names; raises ConfigurationError when unset.

    As in Azure the setting may carry the prefix `AzureWebJobs`. Identity-based connections
    (`NAME__queueServiceUri`) are Azure's: a local host has an emulator and its connection string.
    """
    value = environment.get(f"AzureWebJobs{name}") or environment.get(name)
    if not value:
        raise ConfigurationError(f"storage account connection string '{name}' does not exist")
    return DEVELOPMENT_STORAGE if value.strip().rstrip(";") == "UseDevelopmentStorage=true" else value


def load_keys(path: Path | None) -> Keys:
    """Read the keys file, or create it (mode 0600) with random keys; no path: random keys, kept nowhere."""
    if path is not None and path.exists():
        return _read_keys(path)
    keys = Keys(*(secrets.token_urlsafe(32) for _ in range(3)))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(keys.as_json(), file, indent=2)
    return keys


def _read_keys(path: Path) -> Keys:
    document = _read_object(path)
    values = [document.get(name) for name in ("master", "function", "system")]
    # An empty key would open the host to requests that carry none.
    if not all(isinstance(value, str) and value for value in values):
        raise ConfigurationError(f"{path} must hold the strings master, function and system")
    return Keys(*map(str, values))
