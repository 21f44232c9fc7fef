"""How the page says times, durations and statuses. Pure."""

from datetime import date, datetime, timedelta

from shared.domain.remediation import Status
from shared.domain.signal import SyncType

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STATUS = {
    Status.QUEUED: "Queued",
    Status.RUNNING: "Running",
    Status.VERIFYING: "Verifying",
    Status.WAITING_TO_RETRY: "Waiting to retry",
    Status.HEALED: "Healed",
    Status.UNHEALTHY: "Unhealthy",
    Status.FAILED: "Failed",
    Status.REJECTED: "Rejected",
    Status.TIMED_OUT: "Timed out",
    Status.CANCELLED: "Cancelled",
}
_MEANING = {
    Status.QUEUED: "The sync call is about to be made.",
    Status.RUNNING: "Azure works on the sync; it is being followed.",
    Status.VERIFYING: "The sync has ended; the instance itself is being asked.",
    Status.WAITING_TO_RETRY: "The last attempt did not heal it; the next one follows by itself.",
    Status.HEALED: "The instance is protected again.",
    Status.UNHEALTHY: "The sync succeeded, and yet the instance is not protected.",
    Status.FAILED: "The sync failed, and no attempt is left.",
    Status.REJECTED: "Azure refused for good.",
    Status.TIMED_OUT: "The sync did not end in time.",
    Status.CANCELLED: "An operator ended it.",
}
_DROPPED = {
    "OutOfScope": "This instance is not to be healed: the app's settings leave it out.",
    "CoolingDown": "This instance has just been looked after, and is left alone for a while.",
    "CancelledToday": "Somebody cancelled its healing today.",
    "DailyCapReached": "This instance has had its share of remediations for today.",
    "LateDuplicate": "This was dealt with already.",
}


def status_words(status: Status) -> str:
    """`Waiting to retry` for `WaitingToRetry`."""
    return _STATUS[status]


def status_meaning(status: Status) -> str:
    """What it means that a remediation stands there, in a sentence."""
    return _MEANING[status]


def dropped_words(code: str) -> str:
    """Why the policy lets an instance be (`shared.domain.policy.Drop.code`), in a sentence."""
    return _DROPPED.get(code, "The app's policy lets this instance be.")


def sync_type_words(sync_type: SyncType) -> str:
    """What the sync of this type does."""
    return "only what failed" if sync_type is SyncType.DEFAULT else "everything, failed or not"


def duration(length: timedelta) -> str:
    """`0.4 s`, `45 s`, `4 min 12 s`, `2 h 5 min`, `3 d 4 h`: two units, rounded down."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 10:
        return f"{int(seconds * 10) / 10:.1f} s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    for unit, smaller, name, smaller_name in (
        (_DAY, _HOUR, "d", "h"),
        (_HOUR, _MINUTE, "h", "min"),
        (_MINUTE, 1, "min", "s"),
    ):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name} {rest} {smaller_name}" if rest else f"{whole // unit} {name}"
    raise AssertionError(whole)


def relative(moment: datetime, now: datetime) -> str:
    """`just now`, `12 s ago`, `in 5 min`, `3 h ago`, `2 d ago`."""
    away = int(abs((now - moment).total_seconds()))
    if away < 2:
        return "just now"
    size, name = next(
        (size, name)
        for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))
        if away >= (2 * size if size == _DAY else size)
    )
    return f"{away // size} {name} ago" if moment < now else f"in {away // size} {name}"


def absolute(moment: datetime) -> str:
    """`2026-01-02 03:04:05`; the page says that its times are UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def day_words(day: date) -> str:
    """`Mon 5 Jan`."""
    return f"{day:%a} {day.day} {day:%b}"


def count_words(count: int) -> str:
    """`1,234`."""
    return f"{count:,}"


def short_count(count: int) -> str:
    """`980`, `1.2k`, `12k`: for where there is no room for more."""
    if count < 1000:
        return str(count)
    return f"{count // 100 / 10:g}k" if count < 10_000 else f"{count // 1000}k"


def percent_words(share: float | None) -> str:
    """`97.4 %`, and `100 %` only for all; a dash where nothing is known."""
    if share is None:
        return "\N{EN DASH}"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")
    return f"{min(int(share * 1000) / 10, 99.9):.1f}\N{NO-BREAK SPACE}%"
