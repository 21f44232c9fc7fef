"""Every event of the corpus is a signal or none, as the file says; `{"text"}` is the event's own text."""

import json
from datetime import UTC, datetime

import pytest

from shared.clock import to_iso
from shared.domain.repair import Repair
from shared.domain.resource_ids import fold
from shared.domain.signal import Signal
from shared.sources.event_grid import read_event
from shared.sources.operation_filter import OperationFilter
from tests.support.corpus import Case, cases

NOW = datetime(2026, 3, 13, 12, 0, tzinfo=UTC)
OPERATIONS = OperationFilter(own_ids=lambda: ["5a7a1b26-0000-4000-8000-000000000000"])


@pytest.mark.parametrize("case", cases("events"))
def test_an_event_is_a_signal_exactly_if_it_says_what_failed(case: Case) -> None:
    text = case.input["text"] if "text" in case.input else json.dumps(case.input)
    result = read_event(text, NOW, OPERATIONS)
    assert not isinstance(result, Repair)
    if not isinstance(result, Signal):
        assert case.verdict.get("ignored", "an instance") in result.reason
        return
    verdict = {
        "instance": fold(str(result.instance)),
        "reason": result.reason,
        "syncType": result.sync_type,
        "occurredAt": to_iso(result.occurred_at),
        "backupFailed": result.backup_failed,
    }
    assert {key: verdict.get(key) for key in case.verdict} == case.verdict
