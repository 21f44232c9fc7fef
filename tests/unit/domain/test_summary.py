"""A remediation in short, as it is stored and read."""

import pytest

from shared.domain.summary import from_text, summarize, to_text
from tests.support.episodes import healed, queued, running, verifying


@pytest.mark.parametrize("remediation", [queued(), running(), verifying(), healed()], ids=lambda each: each.status)
def test_a_stored_summary_is_read_as_it_was(remediation) -> None:
    summary = summarize(remediation)
    assert from_text(summary.id, to_text(summary)) == summary


def test_a_summary_that_a_newer_app_made_longer_is_read() -> None:
    summary = summarize(healed())
    assert from_text(summary.id, to_text(summary)[:-1] + ',"more"]') == summary


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "5", '["Healed"]', '["Maybe","i","s",null,1,null,null]', '["Healed","i","s","x",1,null,null]'],
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a summary"):
        from_text(summarize(healed()).id, text)
