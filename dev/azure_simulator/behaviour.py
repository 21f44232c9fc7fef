"""How the simulated Azure behaves: the knobs of one backup instance, and the faults that a test asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

MISSING_PERMISSIONS: Json = {
    "code": "UserErrorMissingPermissions",
    "message": "The vault's managed identity does not have the permissions that it needs on the datasource.",
}
"""Why a simulated sync fails unless told otherwise: an error that somebody repairs later."""


class InvalidBehaviour(ValueError):
    """What was sent to the control plane is no behaviour; the message names the key and what it takes."""


@dataclass(frozen=True, slots=True)
class AnswerFault:
    """One request is answered with this instead of what Azure would say."""

    status: int
    headers: Mapping[str, str]
    body: Json | list[Any] | str | None
    """JSON, text as it is, or None: a CloudError that suits the status."""


@dataclass(frozen=True, slots=True)
class ConnectionFault:
    """One request gets no answer: its connection is cut at once, or after so many seconds of silence."""

    seconds: float
    kind: Literal["reset", "timeout"]


Fault = AnswerFault | ConnectionFault


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What syncing, polling and reading one backup instance is like. Durations are in seconds."""

    latency_seconds: float = 0.0
    operation_seconds: float = 1.0
    retry_after: float | Literal["http-date"] | None = 1.0
    """The header Retry-After: seconds, a date one second ahead, or not sent."""
    final_status: Literal["Succeeded", "Failed", "Canceled"] = "Succeeded"
    final_error: Json | None = None
    state_after_success: str = "ProtectionConfigured"
    state_after_failure: str | None = None
    """None: the state that the instance had before."""
    sync_faults: tuple[Fault, ...] = ()
    poll_faults: tuple[Fault, ...] = ()
    read_faults: tuple[Fault, ...] = ()
    sync_status: Literal[200, 202] = 202
    operation_url: str | None = None
    """Sent as Azure-AsyncOperation; `{url}` (the true one), `{base}` and `{operationId}` are filled in."""
    omit_async_header: bool = False
    omit_location_header: bool = False
    poll_path: Literal["vault", "resourceGroup", "location"] = "vault"


@dataclass(slots=True)
class FaultsUsed:
    """How many faults of each list were used up, by the list's name in JSON."""

    counts: dict[str, int] = field(default_factory=dict)

    def take(self, name: str, faults: tuple[Fault, ...]) -> Fault | None:
        """The next fault of this list, once; None when the list is used up."""
        used = self.counts.get(name, 0)
        if used >= len(faults):
            return None
        self.counts[name] = used + 1
        return faults[used]

    def forget(self, name: str) -> None:
        """A new list of this name begins with its first fault."""
        self.counts.pop(name, None)


def read_behaviour(document: object) -> Json:
    """The attributes of `Behaviour` that this JSON object sets, checked.

    Raises:
        InvalidBehaviour: no object, an unknown key, or a value that the key cannot have.
    """
    if not isinstance(document, dict):
        raise InvalidBehaviour(f"a behaviour is a JSON object, got {document!r}")
    attributes: Json = {}
    for key, value in document.items():
        if key not in _KEYS:
            raise InvalidBehaviour(f"unknown key {key!r}; known are {', '.join(sorted(_KEYS))}")
        attribute, read = _KEYS[key]
        try:
            attributes[attribute] = read(value)
        except InvalidBehaviour as error:
            raise InvalidBehaviour(f"{key}: {error}") from None
    return attributes


def seconds(value: object) -> float:
    """A duration.

    Raises:
        InvalidBehaviour: not a number of seconds, 0 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InvalidBehaviour(f"expected a number of seconds, got {value!r}")
    return float(value)


def read_faults(value: object) -> tuple[Fault, ...]:
    """A list of faults, used up one per request.

    Raises:
        InvalidBehaviour: not a list, or an entry is no fault.
    """
    if not isinstance(value, list):
        raise InvalidBehaviour(f"expected a list of faults, got {value!r}")
    return tuple(_fault(entry) for entry in value)


def _fault(entry: object) -> Fault:
    if not isinstance(entry, dict):
        raise InvalidBehaviour(f"a fault is a JSON object, got {entry!r}")
    kind = entry.get("kind")
    if kind in ("reset", "timeout"):
        return ConnectionFault(seconds(entry.get("seconds", 0)), kind)
    status = entry.get("status")
    if kind is not None or not isinstance(status, int) or not 200 <= status <= 599:
        raise InvalidBehaviour(f"a fault has a status of 200 to 599, or kind 'timeout' or 'reset', got {entry!r}")
    headers = entry.get("headers") or {}
    if not isinstance(headers, dict):
        raise InvalidBehaviour(f"a fault's headers are a JSON object, got {headers!r}")
    return AnswerFault(status, {str(name): str(text) for name, text in headers.items()}, entry.get("body"))


def _one_of(*choices: object) -> Callable[[object], object]:
    def read(value: object) -> object:
        # `1 == True`: without the type, a switch could pass for a number.
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise InvalidBehaviour(f"expected one of {', '.join(map(repr, choices))}, got {value!r}")
        return value

    return read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidBehaviour(f"expected text, got {value!r}")
    return value


def _text_or_null(value: object) -> str | None:
    return None if value is None else _text(value)


def _object_or_null(value: object) -> Json | None:
    if value is not None and not isinstance(value, dict):
        raise InvalidBehaviour(f"expected a JSON object or null, got {value!r}")
    return value


def _retry_after(value: object) -> float | str | None:
    if isinstance(value, str):
        _one_of("http-date")(value)
        return value
    return None if value is None else seconds(value)


_switch = _one_of(True, False)
_KEYS: dict[str, tuple[str, Callable[[object], object]]] = {
    "latencySeconds": ("latency_seconds", seconds),
    "operationSeconds": ("operation_seconds", seconds),
    "retryAfter": ("retry_after", _retry_after),
    "finalStatus": ("final_status", _one_of("Succeeded", "Failed", "Canceled")),
    "finalError": ("final_error", _object_or_null),
    "stateAfterSuccess": ("state_after_success", _text),
    "stateAfterFailure": ("state_after_failure", _text_or_null),
    "syncFaults": ("sync_faults", read_faults),
    "pollFaults": ("poll_faults", read_faults),
    "readFaults": ("read_faults", read_faults),
    "syncStatus": ("sync_status", _one_of(200, 202)),
    "operationUrl": ("operation_url", _text_or_null),
    "omitAsyncHeader": ("omit_async_header", _switch),
    "omitLocationHeader": ("omit_location_header", _switch),
    "pollPath": ("poll_path", _one_of("vault", "resourceGroup", "location")),
}
FAULT_LISTS = ("syncFaults", "pollFaults", "readFaults")
"""The keys of a behaviour whose value is a list of faults."""
