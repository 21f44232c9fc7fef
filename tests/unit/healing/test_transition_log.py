"""Lines of alerts, when a remediation joins an incident."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.attention import Acknowledgement
from shared.healing.transition_log import log_transitions
from tests.support.remediations import rejected


@pytest.mark.parametrize(("hours", "lines"), [(None, 1), (-1, 1), (0, 1), (1, 0)])
def test_only_an_acknowledgement_that_lasts_keeps_it_out_of_the_alert_of_the_incident_that_it_joins(
    caplog: pytest.LogCaptureFixture, hours: int | None, lines: int
) -> None:
    caplog.set_level("INFO", "backup_autoheal")
    alone = rejected()
    assert alone.attention
    now = alone.history[-1].at
    if hours is not None:
        note = Acknowledgement(at=now, by="ada", reason="known", until=now + timedelta(hours=hours))
        alone = replace(alone, attention=replace(alone.attention, acknowledgement=note))
    log_transitions(alone, replace(alone, incident_id="incident"))
    assert caplog.text.count('"attention.stays"') == lines
