from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain import arm_results, lifecycle
from shared.domain.mode import Mode
from shared.domain.policy import Coalesce, Decision, Drop, Open
from shared.domain.remediation import Remediation
from shared.domain.signal import Signal, SyncType
from shared.settings import Settings
from tests.support.remediations import INSTANCE, LATER, NOW, after, healed, observed, queued, running

TOMORROW = NOW + timedelta(hours=25)
NEWER = Signal(INSTANCE, "Event", "failed again", TOMORROW)
OLDER = replace(NEWER, occurred_at=NOW - timedelta(seconds=1))
DEFAULTS = Settings()
LADDER = (timedelta(minutes=5), timedelta(hours=1))


def judged(
    signal: Signal,
    latest: Remediation | None,
    recent: Sequence[datetime] = (),
    settings: Settings = DEFAULTS,
    now: datetime = TOMORROW,
) -> Decision:
    return settings.policy().decide(signal, latest, recent, now)


def drop_code(verdict: Decision) -> str:
    assert isinstance(verdict, Drop)
    return verdict.code


def test_the_first_signal_of_an_instance_opens() -> None:
    assert judged(NEWER, None) == Open()


@pytest.mark.parametrize("active", [queued(), running()])
@pytest.mark.parametrize("signal", [NEWER, OLDER])
def test_a_signal_for_an_instance_that_is_being_healed_is_coalesced(active: Remediation, signal: Signal) -> None:
    assert judged(signal, active) == Coalesce(active)


def test_a_newer_failure_of_a_healed_instance_opens_again() -> None:
    assert judged(NEWER, healed()) == Open()


def test_a_late_repeat_of_what_was_healed_is_dropped_with_its_reason() -> None:
    verdict = judged(OLDER, healed())
    assert drop_code(verdict) == "LateDuplicate"
    assert isinstance(verdict, Drop)
    assert healed().id in verdict.reason


@pytest.mark.parametrize(("minutes", "opens"), [(14, False), (15, True)])
def test_an_instance_cools_down_after_a_remediation(minutes: int, opens: bool) -> None:
    now = LATER + timedelta(minutes=minutes)
    assert (judged(replace(NEWER, occurred_at=now), healed(), now=now) == Open()) is opens


def test_a_cool_down_says_how_long_it_still_is_in_words() -> None:
    now = LATER + timedelta(minutes=11, seconds=31.297691)
    verdict = judged(replace(NEWER, occurred_at=now), healed(), now=now)
    assert isinstance(verdict, Drop)
    assert verdict.reason.endswith("again in 3 minutes 29 seconds")


@pytest.mark.parametrize(
    ("source", "hours", "opens"), [("Sweep", 23, False), ("Sweep", 24, True), ("Event", 1, True), ("Request", 1, True)]
)
def test_a_sweep_leaves_alone_for_a_day_what_an_operator_cancelled(source: str, hours: int, opens: bool) -> None:
    now = NOW + timedelta(hours=hours)
    cancelled = lifecycle.cancel(running(), "not now", NOW)
    assert (judged(replace(NEWER, source=source, occurred_at=now), cancelled, now=now) == Open()) is opens


@pytest.mark.parametrize(
    ("source", "code", "hours", "opens"),
    [
        ("Sweep", "UserErrorManagedDiskNotFound", 23, False),
        ("Sweep", "UserErrorManagedDiskNotFound", 24, True),
        ("Event", "UserErrorManagedDiskNotFound", 1, True),
        ("Sweep", "UserErrorMissingRequiredPermissions", 1, True),
    ],
)
def test_a_sweep_leaves_alone_for_a_day_what_no_sync_mends(source: str, code: str, hours: int, opens: bool) -> None:
    now = LATER + timedelta(hours=hours)
    rejected = after(queued(), arm_results.Refused(400, {"code": code, "message": ""}))
    assert (judged(replace(NEWER, source=source, occurred_at=now), rejected, now=now) == Open()) is opens


@pytest.mark.parametrize(("opened", "opens"), [(5, True), (6, False)])
def test_an_instance_is_healed_no_more_often_a_day_than_the_cap(opened: int, opens: bool) -> None:
    recent = [TOMORROW - timedelta(hours=2)] * opened
    assert (judged(NEWER, healed(), recent) == Open()) is opens


@pytest.mark.parametrize("occurred_at", [LATER, NOW - timedelta(hours=1)])
def test_what_was_only_observed_keeps_no_signal_from_being_healed(occurred_at: datetime) -> None:
    signal = replace(NEWER, occurred_at=occurred_at)
    assert judged(signal, observed(), [NOW] * 6, now=LATER) == Open(resets_daily_cap=True)


@pytest.mark.parametrize(
    ("occurred_at", "now", "code"),
    [
        (NOW - timedelta(hours=1), LATER, "LateDuplicate"),
        (LATER, LATER, "CoolingDown"),
        (LATER, NOW + timedelta(hours=1), "DailyCapReached"),
    ],
)
def test_while_the_app_observes_a_signal_is_judged_as_after_a_heal(
    occurred_at: datetime, now: datetime, code: str
) -> None:
    observing = Settings(mode=Mode.OBSERVE)
    assert drop_code(judged(replace(NEWER, occurred_at=occurred_at), observed(), [NOW] * 6, observing, now)) == code


def test_what_was_opened_a_day_ago_does_not_count() -> None:
    assert judged(NEWER, healed(), [NOW] * 6) == Open()


@pytest.mark.parametrize(
    ("settings", "opens"),
    [
        (Settings(include=("*/backupvaults/testvault/*",)), True),
        (Settings(include=("*/backupvaults/other/*", "*/testbi")), True),
        (Settings(include=("*/backupvaults/other/*",)), False),
        (Settings(exclude=("*/backupvaults/other/*",)), True),
        (Settings(exclude=("*/resourcegroups/test*",)), False),
        (Settings(include=("*",), exclude=("*",)), False),
    ],
)
def test_only_what_is_included_and_not_excluded_is_healed(settings: Settings, opens: bool) -> None:
    assert (judged(NEWER, None, settings=settings) == Open()) is opens


def test_the_waits_between_attempts_follow_the_ladder_and_the_last_repeats() -> None:
    settings = Settings(max_attempts=4, retry_delays=LADDER)
    waits = [settings.policy().retry_delay(attempt) for attempt in (1, 2, 3, 4)]
    assert waits == [LADDER[0], LADDER[1], LADDER[1], None]


@pytest.mark.parametrize(
    ("from_attempt", "forced"), [(0, [False, False, False]), (1, [True, True, True]), (3, [False, False, True])]
)
def test_the_sync_escalates_from_the_attempt_that_is_set(from_attempt: int, forced: list[bool]) -> None:
    settings = Settings(force_resync_from_attempt=from_attempt)
    syncs = [settings.policy().sync_type(attempt, SyncType.DEFAULT) for attempt in (1, 2, 3)]
    assert [sync is SyncType.FORCE_RESYNC for sync in syncs] == forced


def test_what_was_asked_for_is_never_weakened() -> None:
    assert Settings().policy().sync_type(1, SyncType.FORCE_RESYNC) is SyncType.FORCE_RESYNC
