"""The report about a month: which outcomes are in it, and what they add up to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain import lifecycle, recovery_steps
from shared.domain.arm_results import Refused
from shared.domain.attention import Attention
from shared.domain.backup_results import PointsRead
from shared.domain.recovery import Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.recovery_steps import RecoveryMoment
from shared.domain.remediation import Remediation, Status
from shared.domain.report import Month, Outcome, Totals, outcomes_of, report_of
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import REQUEST
from tests.support.remediations import ERROR, INSTANCE, LATER, NOW, healed, instance_named, recovering, rejected
from tests.support.remediations import recovered as recovered_in_time

MONTH = Month.of(NOW)
AFTER = MONTH.end + timedelta(days=1)
OTHER = BackupInstanceId(INSTANCE.subscription_id.upper(), INSTANCE.resource_group.upper(), "vault2", "bi")


def recovered(status: Status = Status.RECOVERED, gap: timedelta | None = timedelta(hours=30)) -> Remediation:
    ended_at = NOW + timedelta(days=1)
    recovery = Recovery(mode=RecoveryMode.WATCH, failed_at=NOW, ended_at=ended_at, point=ended_at)
    return replace(
        healed(), status=status, recovery=replace(recovery, gap_seconds=gap.total_seconds() if gap else None)
    )


def needing(since: datetime, of: Remediation | None = None) -> Remediation:
    unhealed = of or rejected()
    return replace(unhealed, attention=Attention(since=since, remediation_id=unhealed.id, reason="r"))


def totals(*remediations: Remediation, now: datetime = AFTER) -> Totals:
    return report_of(MONTH, remediations, now).total


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "26-01", "2026-1", "2026-01-01", "2026-01\n"])
def test_what_names_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2026-01"):
        Month.parse(text)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2999, 11, 30), timezones=st.just(UTC)))
def test_a_month_has_each_of_its_moments_and_is_named_as_it_is_read(moment: datetime) -> None:
    month = Month.of(moment)
    assert moment in month
    assert month.start - timedelta(microseconds=1) not in month
    assert month.end not in month
    assert (Month.parse(str(month)), month.start.month, month.end.day) == (month, moment.month, 1)


def test_given_a_heal_that_nobody_asked_for_then_it_counts_as_one_without_a_person() -> None:
    found = totals(healed())
    assert (found.heals, found.healed, found.healed_by_itself, found.unhealed) == (1, 1, 1, 0)


def test_given_a_heal_that_somebody_asked_for_then_it_counts_as_another() -> None:
    found = totals(replace(healed(), source=REQUEST))
    assert (found.healed, found.healed_by_itself) == (1, 0)


def test_given_an_instance_that_needed_a_person_on_the_way_then_its_heal_is_not_one_without() -> None:
    assert totals(replace(healed(), needed_attention_since=NOW)).healed_by_itself == 0


def test_given_a_heal_that_failed_then_it_counts_as_unhealed_with_its_code() -> None:
    report = report_of(MONTH, [rejected()], AFTER)
    assert report.total.unhealed == 1
    assert report.outcomes[0].error_code == "UserErrorMissingPermission"


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.WOULD_HEAL])
def test_given_a_heal_that_was_not_tried_to_its_end_then_it_is_listed_and_not_counted(status: Status) -> None:
    report = report_of(MONTH, [replace(rejected(), status=status)], AFTER)
    assert (report.total.heals, len(report.outcomes)) == (0, 1)


def test_given_a_recovery_then_it_is_an_outcome_beside_that_of_its_heal() -> None:
    assert [outcome.status for outcome in outcomes_of(recovered())] == [Status.HEALED, Status.RECOVERED]


def test_given_a_recovery_that_goes_on_then_only_the_heal_is_an_outcome() -> None:
    waiting = replace(recovered(Status.RECOVERING), recovery=Recovery(mode=RecoveryMode.WATCH, failed_at=NOW))
    assert [outcome.status for outcome in outcomes_of(waiting)] == [Status.HEALED]


def test_given_recoveries_then_the_longest_gap_is_told() -> None:
    gaps = (None, timedelta(hours=2), timedelta(hours=30), timedelta(hours=3))
    found = totals(*(recovered(gap=gap) for gap in gaps))
    assert (found.recovered, found.longest_gap) == (4, timedelta(hours=30))


def test_given_a_recovery_that_failed_then_it_counts_as_one() -> None:
    found = totals(recovered(Status.NOT_RECOVERED, gap=None))
    assert (found.recovered, found.not_recovered, found.healed) == (0, 1, 1)


@pytest.mark.parametrize("at", [MONTH.start - timedelta(seconds=1), MONTH.end])
def test_given_an_end_outside_the_month_then_it_is_in_another_report(at: datetime) -> None:
    assert report_of(MONTH, [replace(healed(), ended_at=at)], AFTER).outcomes == []


def test_given_a_heal_of_the_month_before_then_its_recovery_in_this_month_is_here() -> None:
    before = replace(recovered(), ended_at=MONTH.start - timedelta(hours=1))
    assert [outcome.status for outcome in report_of(MONTH, [before], AFTER).outcomes] == [Status.RECOVERED]


def test_given_vaults_in_any_casing_then_each_is_counted_once_under_its_subscription() -> None:
    other = replace(healed(), instance=OTHER)
    shouted = BackupInstanceId(INSTANCE.subscription_id, "TESTRG", "TESTVAULT", "other")
    same = replace(healed(), instance=shouted)
    report = report_of(MONTH, [healed(), other, same], AFTER)
    assert {vault.rpartition("/")[2]: found.healed for vault, found in report.vaults.items()} == {
        "testvault": 2,
        "vault2": 1,
    }
    assert {key: found.healed for key, found in report.subscriptions.items()} == {INSTANCE.subscription_id.lower(): 3}


def test_given_a_need_of_a_person_that_a_heal_ended_then_its_time_is_counted_once() -> None:
    since = NOW - timedelta(hours=5)
    ended = replace(healed(), ended_at=NOW, needed_attention_since=since)
    assert totals(needing(since), needing(since), ended).attention == timedelta(hours=5)


def test_given_a_need_that_lasts_then_it_is_counted_until_now() -> None:
    assert totals(needing(NOW), now=NOW + timedelta(hours=3)).attention == timedelta(hours=3)


def test_given_a_need_that_began_before_the_month_and_ends_after_it_then_it_lasted_the_month() -> None:
    since = MONTH.start - timedelta(days=40)
    assert totals(needing(since), now=MONTH.end + timedelta(days=40)).attention == MONTH.end - MONTH.start


def test_given_a_month_that_has_not_begun_then_nothing_is_counted() -> None:
    assert totals(needing(NOW - timedelta(days=60)), now=MONTH.start - timedelta(days=1)).attention == timedelta()


def test_given_needs_of_several_instances_then_their_times_add_up() -> None:
    other = replace(needing(NOW), instance=instance_named("other"))
    assert totals(needing(NOW), other, now=NOW + timedelta(hours=1)).attention == timedelta(hours=2)


def test_outcomes_are_in_the_order_of_their_ends() -> None:
    ends = [NOW + timedelta(hours=hour) for hour in (3, 1, 2)]
    report = report_of(MONTH, [replace(healed(), ended_at=end) for end in ends], AFTER)
    assert [outcome.ended_at for outcome in report.outcomes] == sorted(ends)


def sealed_as(remediation: Remediation) -> Outcome:
    """The outcome of its heal."""
    return next(outcomes_of(remediation))


@pytest.mark.parametrize("end", ["gone", "in time", "too late", "cancelled"])
def test_whatever_a_recovery_comes_to_the_outcome_of_its_heal_stays_as_it_was(end: str) -> None:
    begun, at = recovering(), RecoveryMoment(LATER + timedelta(days=9), 0.0)
    after = {
        "gone": lambda: recovery_steps.on_points(begun, Refused(404, ERROR), at),
        "in time": recovered_in_time,
        "too late": lambda: recovery_steps.on_points(begun, PointsRead(()), at),
        "cancelled": lambda: lifecycle.cancel(begun, "by hand", LATER),
    }[end]()
    assert after.status.ends_recovery
    assert sealed_as(after) == sealed_as(begun)
