"""Times, durations and counts as text."""

from datetime import timedelta

import pytest

from shared.dashboard import formatting
from shared.domain.remediation import Status
from tests.support.remediations import NOW


def test_a_status_is_labelled_in_words() -> None:
    assert [formatting.status_label(status) for status in (Status.WAITING_TO_RETRY, Status.HEALED)] == [
        "Waiting to retry",
        "Healed",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "just now"), (-12, "12 seconds ago"), (61, "in 1 minute"), (300, "in 5 minutes"), (-108000, "30 hours ago")],
)
def test_a_time_is_relative_to_now(seconds: int, text: str) -> None:
    assert formatting.format_relative(NOW + timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(("share", "text"), [(None, "\N{EN DASH}"), (1.0, "100 %"), (0.9999, "99.9 %"), (0.0, "0 %")])
def test_a_share_is_100_percent_only_for_all(share: float | None, text: str) -> None:
    assert formatting.format_percent(share).replace("\N{NO-BREAK SPACE}", " ") == text
