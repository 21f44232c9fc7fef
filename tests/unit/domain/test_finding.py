"""Whether an instance that is well is a finding: its last scheduled job failed, or its newest point is too old."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.backup_results import Schedule
from shared.domain.finding import Finding, FindingKind, ScheduledJob, WellInstance, assess
from shared.domain.signal import SWEEP
from tests.support.remediations import INSTANCE, NOW

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
GRACE = 6 * HOUR
DAILY = Schedule("BackupDaily", "Default", DAY, is_continuous=False)
CONTINUOUS = Schedule(None, None, None, is_continuous=True)
FAILED = ScheduledJob("job-1", NOW - 2 * HOUR, NOW - HOUR, has_failed=True, error_code="UserErrorSnapshotLimit")
RUNNING = replace(FAILED, has_failed=False, error_code=None)


def well(point: datetime | None) -> WellInstance:
    return WellInstance(str(INSTANCE), "/policy", point)


def found(
    point: datetime | None, job: ScheduledJob | None = None, schedule: Schedule | None = DAILY, grace: timedelta = GRACE
) -> Finding | None:
    return assess(well(point), job, schedule, grace, NOW)


def test_given_a_scheduled_job_that_failed_when_no_point_is_newer_then_it_is_a_finding() -> None:
    point = NOW - 20 * HOUR
    assert found(point, FAILED) == Finding(
        INSTANCE, FindingKind.JOB_FAILED, FAILED.ended_at, point, DAY, "job-1", "UserErrorSnapshotLimit"
    )


def test_given_a_failed_job_when_there_was_never_a_point_then_it_is_a_finding() -> None:
    finding = found(None, FAILED)
    assert finding is not None
    assert finding.kind is FindingKind.JOB_FAILED


@pytest.mark.parametrize("point", [FAILED.started_at, NOW])
def test_given_a_failed_job_when_a_backup_after_it_has_left_a_point_then_all_is_well(point: datetime) -> None:
    assert found(point, FAILED) is None


def test_given_a_failed_job_when_its_policy_is_not_known_then_it_is_a_finding_all_the_same() -> None:
    assert found(NOW - DAY, FAILED, None) is not None


def test_given_a_job_that_still_runs_when_the_point_is_fresh_then_all_is_well() -> None:
    assert found(NOW - DAY, RUNNING) is None


def test_given_a_point_older_than_interval_and_grace_when_it_is_assessed_then_it_is_stale_since_then() -> None:
    point = NOW - DAY - GRACE - HOUR
    assert found(point) == Finding(INSTANCE, FindingKind.STALE, NOW - HOUR, point, DAY)


def test_given_a_point_as_old_as_interval_and_grace_when_it_is_assessed_then_all_is_well() -> None:
    assert found(NOW - DAY - GRACE) is None


@pytest.mark.parametrize("schedule", [None, replace(DAILY, interval=None)])
def test_given_no_known_interval_when_the_point_is_old_then_nothing_is_claimed(schedule: Schedule | None) -> None:
    assert found(NOW - 30 * DAY, schedule=schedule) is None


@given(st.none() | st.datetimes().map(lambda time: time.replace(tzinfo=NOW.tzinfo)), st.sampled_from([None, FAILED]))
def test_continuous_backups_are_never_findings(point: datetime | None, job: ScheduledJob | None) -> None:
    assert found(point, job, CONTINUOUS) is None


@given(
    st.none() | st.datetimes().map(lambda time: time.replace(tzinfo=NOW.tzinfo)),
    st.sampled_from([None, FAILED, RUNNING]),
    st.sampled_from([None, DAILY, CONTINUOUS, replace(DAILY, interval=timedelta(days=3650))]),
    st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3650)),
)
def test_what_is_found_failed_in_the_past_and_has_no_newer_point(
    point: datetime | None, job: ScheduledJob | None, schedule: Schedule | None, grace: timedelta
) -> None:
    finding = found(point, job, schedule, grace)
    assert finding is None or (finding.failed_at < NOW and (point is None or point <= finding.failed_at))


def test_the_signal_of_a_finding_tells_of_a_failed_backup_at_the_time_of_the_failure() -> None:
    finding = found(NOW - 20 * HOUR, FAILED)
    assert finding is not None
    signal = finding.signal
    assert (signal.source, signal.occurred_at, signal.backup_failed) == (SWEEP, FAILED.ended_at, True)
    assert signal.reason.startswith("JobFailed: the last scheduled backup failed with UserErrorSnapshotLimit")


def test_the_reason_of_a_stale_one_names_point_and_interval() -> None:
    finding = found(NOW - 3 * DAY)
    assert finding is not None
    assert (
        finding.reason
        == "Stale: the newest recovery point is of 2025-12-30T03:04:05.678Z, the policy's interval is 1 day"
    )


def test_the_next_failed_job_is_another_failure_and_the_same_old_point_is_not() -> None:
    point = NOW - 3 * DAY
    first, second = found(point, FAILED), found(point, replace(FAILED, id="job-2"))
    stale = found(point)
    assert first is not None
    assert second is not None
    assert stale is not None
    assert first.id != second.id
    assert stale.id == replace(stale, failed_at=NOW, interval=None).id


def test_a_hostile_error_code_stays_one_line() -> None:
    finding = found(NOW - DAY, replace(FAILED, error_code="a\nb"))
    assert finding is not None
    assert "\n" not in finding.reason


@pytest.mark.parametrize("text", ["", "/subscriptions/x", f"{INSTANCE}/recoveryPoints/1"])
def test_what_is_no_backup_instance_is_no_finding(text: str) -> None:
    assert assess(replace(well(NOW - 3 * DAY), id=text), None, DAILY, GRACE, NOW) is None
    assert assess(replace(well(NOW - 3 * DAY), id=text), FAILED, DAILY, GRACE, NOW) is None
