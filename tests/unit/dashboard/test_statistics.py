"""The numbers of tiles and charts, counted from summaries."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from shared.dashboard.list_filter import ListFilter, select
from shared.dashboard.statistics import DAYS, count_statistics
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary, needs_attention
from tests.support.dashboard_parts import summary
from tests.support.remediations import INSTANCE, NOW

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def healed(minutes: float, opened_at: datetime = NOW - DAY) -> Summary:
    return summary(opened_at=opened_at, took=minutes * MINUTE)


def test_without_remediations_there_is_no_rate_and_no_median() -> None:
    statistics = count_statistics([], NOW)
    assert (statistics.active, statistics.success_rate, statistics.median_time_to_heal) == (0, None, None)


def test_remediations_that_wait_to_retry_are_active() -> None:
    statuses = (Status.RUNNING, Status.WAITING_TO_RETRY, Status.HEALED)
    statistics = count_statistics([summary(status) for status in statuses], NOW)
    assert (statistics.active, statistics.waiting_to_retry) == (2, 1)


def test_today_begins_at_midnight_in_utc() -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    before, after = healed(1, midnight - 2 * MINUTE), healed(1, midnight - MINUTE)
    assert count_statistics([after, before], NOW).healed_today == 1


FIRST_DAY = NOW - (DAYS - 1) * DAY


@pytest.mark.parametrize(
    ("remediation", "charted_on"),
    [
        pytest.param(summary(opened_at=NOW - 2 * DAY, took=DAY), [(NOW - DAY).date()], id="the day it ended"),
        pytest.param(summary(opened_at=FIRST_DAY - DAY), [], id="before the first day"),
        pytest.param(summary(opened_at=FIRST_DAY), [FIRST_DAY.date()], id="the first day"),
    ],
)
def test_a_remediation_is_charted_on_the_day_it_ended(remediation: Summary, charted_on: list[date]) -> None:
    assert [day.day for day in count_statistics([remediation], NOW).days if day.ended] == charted_on


def test_the_success_rate_leaves_out_what_was_cancelled_or_only_observed() -> None:
    statuses = (Status.HEALED, Status.FAILED, Status.CANCELLED, Status.WOULD_HEAL)
    assert count_statistics([summary(status, name=status) for status in statuses], NOW).success_rate == 0.5


def test_the_success_rate_counts_instances_and_not_their_rounds() -> None:
    rounds = [summary(Status.FAILED, "broken", NOW - age * 3600 * timedelta(seconds=1)) for age in range(1, 9)]
    statistics = count_statistics([summary(name="well"), *rounds], NOW)
    assert (statistics.healed_instances, statistics.instances) == (1, 2)


def test_an_instance_that_needs_nobody_is_no_failure_in_the_success_rate() -> None:
    stopped = replace(summary(Status.UNHEALTHY, "stopped"), attention_from=None)
    assert count_statistics([summary(), stopped], NOW).success_rate == 1


def test_what_was_only_observed_is_counted_and_needs_no_attention() -> None:
    statistics = count_statistics([summary(Status.WOULD_HEAL), summary(Status.FAILED)], NOW)
    assert (statistics.would_heal, statistics.needing_attention) == (1, 0)


def test_the_median_is_of_heals_only() -> None:
    summaries = [healed(1), healed(3), healed(50), summary(Status.FAILED, took=9 * DAY)]
    assert count_statistics(summaries, NOW).median_time_to_heal == 3 * MINUTE


@pytest.mark.parametrize(
    ("minutes", "label"),
    [
        (0.5, "< 1 min"),
        (1, "1\N{EN DASH}5 min"),
        (59.9, "15\N{EN DASH}60 min"),
        (60, "1\N{EN DASH}6 h"),
        (1440, "> 24 h"),
    ],
)
def test_each_heal_is_counted_in_one_time_range(minutes: float, label: str) -> None:
    times = count_statistics([healed(minutes, NOW - 2 * DAY)], NOW).times_to_heal
    assert [time.label for time in times if time.heals] == [label]


def test_an_instance_that_was_taken_up_again_still_needs_attention() -> None:
    failed = summary(Status.FAILED, opened_at=NOW - 2 * DAY)
    taken_up = summary(Status.RUNNING, attention_from=failed.ended_at)
    assert needs_attention([taken_up, failed], NOW) == [taken_up]


def test_an_instance_that_was_healed_since_it_failed_needs_no_attention() -> None:
    assert needs_attention([summary(), summary(Status.FAILED, "TESTBI", NOW - 2 * DAY)], NOW) == []


def test_nobody_is_asked_to_mend_an_instance_out_of_scope() -> None:
    excluded = summary(Status.FAILED, "excluded")
    statistics = count_statistics(
        [summary(Status.FAILED), excluded], NOW, lambda instance: instance != excluded.instance
    )
    assert statistics.needing_attention == 1


def test_an_instance_id_in_another_casing_is_the_same_instance() -> None:
    upper = BackupInstanceId(INSTANCE.subscription_id, INSTANCE.resource_group.upper(), INSTANCE.vault, INSTANCE.name)
    assert needs_attention([summary(), summary(Status.FAILED, opened_at=NOW - DAY, instance=upper)], NOW) == []


def test_an_instance_that_failed_twice_is_counted_once() -> None:
    assert len(needs_attention([summary(Status.FAILED), summary(Status.FAILED, opened_at=NOW - DAY)], NOW)) == 1


def test_the_attention_tile_and_the_list_behind_it_agree() -> None:
    failed = [summary(Status.FAILED, f"bi{number}") for number in range(3)]
    matching = select(failed, ListFilter(status="NeedsAPerson"), NOW).matching
    assert matching == count_statistics(failed, NOW).needing_attention == 3
