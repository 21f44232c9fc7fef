"""The status strip of the overview: whether the app works, what it watches, and who answers. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.clock import from_iso
from shared.dashboard.formatting import format_count, format_relative
from shared.domain.mode import Mode

_MAX_POLL_RUN_AGE = timedelta(minutes=10)
_MODES = {Mode.HEAL: "heals", Mode.OBSERVE: "observes", Mode.PAUSED: "paused"}
_PARTS = {
    "storage": "Storage",
    "queue": "Queue",
    "token": "Identity",
    "resourceManager": "Azure",
    "poller": "Poll runs",
    "sweep": "Sweep",
    "findings": "Findings",
    "signIn": "Sign-in",
}
_UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Item:
    """One fact of the strip."""

    name: str
    text: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Strip:
    """The strip, and what the page says where there is nothing to list."""

    items: tuple[Item, ...]
    problems: tuple[tuple[str, str], ...]
    """Parts of the app that do not work, and why."""
    watched: tuple[str, ...]
    """Sentences: what is watched, and when it was last looked at."""


def strip_of(status: Mapping[str, Any], now: datetime, sweep_schedule: str | None) -> Strip:
    """The strip of a document of `GET /api/status`."""
    return Strip(
        tuple(_items(status, now)), tuple(_problems(status, now)), tuple(_watched(status, now, sweep_schedule))
    )


def _items(status: Mapping[str, Any], now: datetime) -> Iterator[Item]:
    mode, known_at = status["mode"], status["knownAt"]
    yield Item("App", _MODES[mode], mode == Mode.PAUSED)
    ran_at = _time(status["lastPollRun"])
    is_late = ran_at is not None and now - ran_at > _MAX_POLL_RUN_AGE
    never = _UNKNOWN if known_at.get("poller", "") is None else "not yet"
    yield Item("Last poll", format_relative(ran_at, now) if ran_at else never, is_late)
    swept_at = _time(status["lastSweep"])
    failed = bool(status["lastSweep"] and status["lastSweep"]["failedAt"])
    never = _UNKNOWN if known_at.get("sweep", "") is None else "not yet"
    swept = format_relative(swept_at, now) if swept_at else never
    yield Item("Last sweep", f"{swept}, then failed" if failed else swept, failed)
    yield _watching(status)
    yield _queue(status["queue"])
    yield _reachable(status["reachable"])


def _watching(status: Mapping[str, Any]) -> Item:
    seen, instances = status["subscriptions"], status["instances"]
    if seen["watched"] is None and instances is None:
        return Item("Watched", _UNKNOWN)
    parts = [_count(instances, "instance")] if instances is not None else []
    readable = seen["readable"]
    if seen["refusedCount"]:
        parts.append(f"{format_count(readable)} of {_count(seen['watched'], 'subscription')}")
    elif seen["watched"] is not None:
        parts.append(_count(seen["watched"], "subscription"))
    return Item("Watched", ", ".join(parts), bool(seen["refusedCount"]) or readable == 0)


def _reachable(reachable: Mapping[str, bool]) -> Item:
    services = {"Azure": reachable["resourceManager"] and reachable["token"], "storage": reachable["storage"]}
    silent = [name for name, answers in services.items() if not answers]
    if silent:
        return Item("Not reachable", " and ".join(silent), is_bad=True)
    return Item("Reachable", " and ".join(services))


def _queue(queue: Mapping[str, int] | None) -> Item:
    if queue is None:
        return Item("Queue", _UNKNOWN)
    waiting = f"{format_count(queue['depth'])} waiting" if queue["depth"] else "empty"
    given_up = queue["poisonDepth"]
    return Item("Queue", f"{waiting}, {format_count(given_up)} given up" if given_up else waiting, bool(given_up))


def _problems(status: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    """The parts that do not work, together where they have the same reason."""
    names: dict[str, list[str]] = {}
    for name, reason in status["problems"].items():
        known_at = status["knownAt"].get(name)
        since = f" What is shown was known {format_relative(from_iso(known_at), now)}." if known_at else ""
        names.setdefault(f"{reason}.{since}", []).append(_PARTS.get(name, name))
    for reason, parts in names.items():
        yield f"{', '.join(parts)}:", reason
    refused = status["subscriptions"]["refused"]
    if refused:
        yield "Subscriptions that the app's identity cannot read:", ", ".join(refused)


def _watched(status: Mapping[str, Any], now: datetime, sweep_schedule: str | None) -> Iterator[str]:
    watching, sweep = _watching(status), status["lastSweep"]
    swept_at, ran_at = _time(sweep), _time(status["lastPollRun"])
    if watching.text != _UNKNOWN:
        yield f"Watched: {watching.text}."
    if swept_at:
        found = sweep["opened"] + sweep["skipped"]
        broken = f"{_count(found, 'broken instance')}" if found else "nothing broken"
        yield f"The last sweep for broken instances ended {format_relative(swept_at, now)} and found {broken}."
    elif sweep_schedule is None:
        yield "No sweep looks for broken instances by itself (SWEEP_SCHEDULE is off): a heal begins with an event, "
        "an alert or a request."
    else:
        yield "No sweep has looked for broken instances yet."
    if ran_at:
        yield f"What is being healed was last followed {format_relative(ran_at, now)}."
    else:
        yield "The timer that follows what is being healed has not run yet."


def _time(run: Mapping[str, Any] | None) -> datetime | None:
    return from_iso(run["at"]) if run and run["at"] else None


def _count(count: int | None, name: str) -> str:
    number = "some" if count is None else format_count(count)
    return f"{number} {name}{'' if count == 1 else 's'}"
