"""A remediation in short, as it is stored and read."""

import pytest

from shared.clock import from_millis, to_millis
from shared.domain.remediation import Remediation, opened_at_of
from shared.domain.summary import Summary, summarize, summary_from_text, summary_to_text
from tests.support.remediations import ERROR, healed, queued, rejected, running, verifying


@pytest.mark.parametrize("remediation", [queued(), running(), verifying(), healed()], ids=lambda each: each.status)
def test_a_stored_summary_says_what_the_remediation_says(remediation: Remediation) -> None:
    assert summary_from_text(remediation.id, summary_to_text(remediation)) == Summary(
        id=remediation.id,
        status=remediation.status,
        instance=str(remediation.instance),
        source=remediation.source,
        opened_at=opened_at_of(remediation.id),
        ended_at=from_millis(to_millis(remediation.ended_at)) if remediation.ended_at else None,
        attempts=1,
        protection_state=remediation.protection_state,
        error_code=None,
    )


def test_a_summary_names_the_error_that_hinders() -> None:
    hindered = summarize(rejected())
    assert hindered.error_code == ERROR["code"]


def test_a_summary_that_a_newer_app_made_longer_is_read() -> None:
    text = summary_to_text(healed())
    assert summary_from_text(healed().id, text[:-1] + ',"more"]') == summarize(healed())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "5", '["Healed"]', '["Maybe","i","s",null,1,null,null]', '["Healed","i","s","x",1,null,null]'],
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a summary"):
        summary_from_text(healed().id, text)
