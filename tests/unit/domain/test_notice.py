"""Notices: who is told of what, and how several become one message."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.attention import announced, with_attention
from shared.domain.error_codes import BUILT_IN
from shared.domain.incident import Incident, IncidentEvent
from shared.domain.incident_cause import ScopeKind
from shared.domain.notice import Notice, NoticeKind, incident_notice, message_of, notices_of
from shared.domain.remediation import Remediation, Status
from tests.support.remediations import INSTANCE, LATER, NOW, healed, instance_named, recovered, rejected, running


def needing_attention(**changes: object) -> Remediation:
    return replace(with_attention(rejected(), LATER, "ARM refused the sync call"), **changes)


def notice(kind: NoticeKind = NoticeKind.ATTENTION_NEEDED, number: int = 0, code: str | None = None) -> Notice:
    return Notice(id=f"{kind}-{number}", kind=kind, at=NOW, title=f"bi-{number:03}", text="x", subject="/x", code=code)


def test_an_instance_that_needs_attention_gives_a_notice_with_reason_code_and_next_step() -> None:
    (told,) = notices_of(needing_attention(), BUILT_IN)
    assert told.kind is NoticeKind.ATTENTION_NEEDED
    assert told.title == "testbi in vault testvault"
    assert told.text == "ARM refused the sync call with 400: UserErrorMissingPermission: no permission"
    assert told.next_step
    assert told.at == LATER


def test_its_id_is_that_of_the_event_that_tells_the_same() -> None:
    remediation = needing_attention()
    assert [each.id for each in notices_of(remediation, BUILT_IN)] == [f"{remediation.id}-attention"]


@pytest.mark.parametrize("remediation", [running(), healed(), announced(needing_attention(), LATER)])
def test_where_nobody_is_needed_nobody_is_told(remediation: Remediation) -> None:
    assert notices_of(remediation, BUILT_IN) == []


def test_a_recovery_gives_a_notice_with_the_time_without_a_recovery_point() -> None:
    remediation = recovered()
    assert remediation.recovery is not None
    remediation = replace(remediation, recovery=replace(remediation.recovery, gap_seconds=27 * 3600))
    (told,) = notices_of(remediation, BUILT_IN)
    assert (told.kind, told.id) == (NoticeKind.RECOVERED, f"{remediation.id}-recovery")
    assert "For 1 day 3 hours there was none." in told.text


def test_a_backup_that_is_not_back_gives_a_notice_of_its_own() -> None:
    (told,) = notices_of(replace(recovered(), status=Status.NOT_RECOVERED), BUILT_IN)
    assert told.kind is NoticeKind.NOT_RECOVERED


def incident(scope_kind: ScopeKind = ScopeKind.VAULT, scope: str = str(INSTANCE.vault_id)) -> Incident:
    return Incident(
        id=running().id,
        code="UserErrorMissingRequiredPermissions",
        scope_kind=scope_kind,
        scope=scope,
        canaries=(),
        founders=(),
        members=50,
        earliest_at=NOW,
        joined_at=NOW,
    )


def test_an_incident_that_is_opened_gives_a_notice_with_its_code_its_scope_and_what_to_do() -> None:
    told = incident_notice(incident(), IncidentEvent.OPENED, BUILT_IN)
    assert (told.kind, told.id) == (NoticeKind.INCIDENT_OPENED, f"{incident().id}-opened")
    assert told.title == "UserErrorMissingRequiredPermissions in vault testvault"
    assert "50 backup instances" in told.text
    assert told.next_step


def test_an_incident_that_is_over_gives_a_notice_with_how_long_it_lasted() -> None:
    closed = replace(incident(), closed_at=incident().opened_at + timedelta(minutes=40))
    told = incident_notice(closed, IncidentEvent.CLOSED, BUILT_IN)
    assert (told.kind, told.id) == (NoticeKind.INCIDENT_CLOSED, f"{closed.id}-closed")
    assert "After 40 minutes" in told.text
    assert told.next_step is None


def test_an_incident_of_a_key_vault_is_named_after_it() -> None:
    told = incident_notice(incident(ScopeKind.RESOURCE, "https://kv.vault.azure.net"), IncidentEvent.OPENED, BUILT_IN)
    assert told.title.endswith(" in kv.vault.azure.net")


@pytest.mark.parametrize(
    ("code", "count"), [("UserErrorMissingRequiredPermissions", 0), ("UserErrorManagedDiskNotFound", 1), ("Unknown", 1)]
)
def test_a_member_that_waits_for_the_repair_of_its_incident_has_no_notice_of_its_own(code: str, count: int) -> None:
    member = needing_attention(incident_id=incident().id, error={"code": code, "message": "x"})
    assert len(notices_of(member, BUILT_IN)) == count


def test_long_foreign_texts_are_cut_and_have_one_line() -> None:
    error = {"code": "C" * 500, "message": "a\r\nb " * 500}
    named = replace(needing_attention(error=error), instance=instance_named("n" * 260))
    (told,) = notices_of(named, BUILT_IN)
    assert len(told.title) < 300
    assert len(told.text) <= 300
    assert len(told.code or "") <= 120
    assert "\n" not in told.text + told.title


def test_notices_of_one_kind_become_one_section() -> None:
    kinds = [NoticeKind.RECOVERED, NoticeKind.ATTENTION_NEEDED, NoticeKind.RECOVERED]
    message = message_of(notice(kind, number) for number, kind in enumerate(kinds))
    assert message.title == "1 backup instance needs attention, 2 backups are back"
    assert [len(section.notices) for section in message.sections] == [1, 2]


def test_the_notices_of_a_section_are_in_the_order_of_their_codes() -> None:
    notices = [notice(number=number, code="B" if number % 2 else "A") for number in range(50)]
    (section,) = message_of(notices).sections
    assert section.title == "50 backup instances need attention"
    assert [each.code for each in section.notices] == ["A"] * 25 + ["B"] * 25
