"""Digests: what counts as healed, as healed without a person, and as recovered."""

import json
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from shared.domain import arm_results, attention
from shared.domain.digest import MAX_NAMED, Digest, digest_of
from shared.domain.error_codes import BUILT_IN
from shared.domain.notice import digest_notice, message_of
from shared.domain.notice_format import request_of
from shared.domain.notify_settings import NoticeFormat
from shared.domain.remediation import Remediation, Resolution, Status
from shared.domain.signal import REQUEST
from shared.domain.summary import summarize
from tests.support.remediations import INSTANCE, LATER, NOW, after, healed, instance_named, queued, recovered, rejected

SINCE, UNTIL = NOW - timedelta(hours=23), NOW + timedelta(hours=1)


def digest(
    *newest_first: Remediation, since: datetime = SINCE, until: datetime = UNTIL, in_scope: bool = True
) -> Digest:
    summaries = [summarize(each) for each in newest_first]
    return digest_of(summaries, newest_first, since, until, BUILT_IN, lambda _: in_scope)


def repaired(name: str = "testbi", **changes: object) -> Remediation:
    return replace(healed(), **{"instance": instance_named(name), "resolution": Resolution.REPAIRED, **changes})


def needing(name: str) -> Remediation:
    remediation = after(queued(instance_named(name)), arm_results.Refused(400, {"code": "Broken", "message": "m"}))
    return attention.with_attention(remediation, LATER, "refused")


def test_what_was_repaired_in_its_time_counts_as_healed_without_a_person() -> None:
    figures = digest(repaired("a"), repaired("b")).figures
    assert (figures.healed, figures.healed_without_person) == (2, 2)


@pytest.mark.parametrize(("since", "until"), [(LATER + timedelta(seconds=1), UNTIL), (SINCE, LATER)])
def test_what_ended_before_or_after_its_time_does_not_count(since: datetime, until: datetime) -> None:
    assert digest(repaired(), since=since, until=until).figures.healed == 0


def test_what_was_well_already_does_not_count() -> None:
    assert digest(repaired(resolution=Resolution.NOTHING_TO_REPAIR)).figures.healed == 0


@pytest.mark.parametrize(
    "remediations",
    [
        [repaired(source=REQUEST)],
        [repaired(error={"code": "UserErrorMissingRequiredPermissions", "message": "m"})],
        [repaired("a"), needing("A")],
    ],
)
def test_a_heal_that_took_a_person_counts_as_healed_only(remediations: list[Remediation]) -> None:
    figures = digest(*remediations).figures
    assert (figures.healed, figures.healed_without_person) == (1, 0)


def of_recovery(name: str, gap_hours: float, status: Status = Status.RECOVERED) -> Remediation:
    remediation = recovered()
    assert remediation.recovery is not None
    recovery = replace(remediation.recovery, gap_seconds=gap_hours * 3600, ended_at=NOW)
    return replace(remediation, instance=instance_named(name), status=status, recovery=recovery)


def test_recoveries_are_counted_with_the_time_without_a_recovery_point() -> None:
    made = digest(of_recovery("a", 26), of_recovery("b", 2.5), of_recovery("c", 99, Status.NOT_RECOVERED))
    figures = made.figures
    assert (figures.recovered, figures.not_recovered) == (2, 1)
    assert (figures.hours_without_recovery_point, figures.longest_hours_without_recovery_point) == (28.5, 26)
    assert "Without a recovery point: 1 day 4 hours in all, the longest 1 day 2 hours." in made.text


def test_the_instances_that_need_attention_are_named_up_to_a_limit() -> None:
    made = digest(*(needing(f"bi-{number}") for number in range(MAX_NAMED + 2)))
    assert made.figures.needs_attention == MAX_NAMED + 2
    assert made.text.count(f"in vault {INSTANCE.vault}: Broken") == MAX_NAMED
    assert made.text.endswith("and 2 more")


def test_an_instance_out_of_scope_needs_nobody() -> None:
    assert digest(rejected(), in_scope=False).figures.needs_attention == 0


def test_a_quiet_day_says_so() -> None:
    made = digest()
    assert made.figures.headline == "Digest: 0 healed without a person, 0 need attention"
    assert made.text == "Healed: 0, of these without a person: 0.\nNeeds attention: 0."


@pytest.mark.parametrize("notice_format", NoticeFormat)
def test_every_format_tells_the_figures(notice_format: NoticeFormat) -> None:
    message = message_of([digest_notice(digest(repaired("a"), needing("b")))])
    body = request_of(message, notice_format, None).body.decode()
    assert "Healed: 1, of these without a person: 1." in body
    assert "b in vault testvault: Broken" in body


def test_a_program_gets_the_figures_as_numbers_and_no_subject() -> None:
    message = message_of([digest_notice(digest(repaired("a")))])
    (event,) = json.loads(request_of(message, NoticeFormat.CLOUD_EVENTS, None).body)
    assert event["type"] == "BackupAutoheal.Notice.Digest"
    assert event["data"]["digest"]["healedWithoutPerson"] == 1
    assert "subject" not in event
