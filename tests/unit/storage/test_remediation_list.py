"""The queries of a list, whatever its filters: no more than storage takes, and all that they let through."""

from datetime import timedelta
from typing import cast

import pytest
from azure.data.tables import TableClient
from msgspec.structs import replace

from shared.domain.remediation import Resolution, Status
from shared.storage.remediation_list import Filters, RemediationReader
from shared.storage.table_rows import Change
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, NOW, queued

HOUR = timedelta(hours=1)
INCIDENT = queued().id


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    """With a remediation of each status, of one instance, an hour apart."""
    filled = MemoryStore()
    for number, status in enumerate(Status):
        at = NOW - number * HOUR
        begun = replace(queued(INSTANCE, at), resolution=Resolution.REPAIRED, incident_id=INCIDENT)
        filled.open(begun, filled.latest_pointer(INSTANCE))
        stored = filled.load(begun.id)
        assert stored is not None
        list(filled.save_all([Change(stored, replace(begun, status=status))]))
    return filled


BY_HEAL = sorted(Status, key=lambda status: not status.is_healed)
"""The healed ones first: only they can have a resolution."""


@pytest.mark.parametrize("number", range(1, len(BY_HEAL) + 1))
def test_any_number_of_statuses_beside_all_other_filters_is_one_that_storage_takes(
    store: MemoryStore, number: int
) -> None:
    wanted = frozenset(BY_HEAL[:number])
    since = NOW - 100 * HOUR
    filters = Filters(wanted, INSTANCE, INSTANCE.subscription_id, since, Resolution.REPAIRED, INCIDENT)
    reader = RemediationReader(cast(TableClient, store.table), store, lambda: NOW)
    assert {each.remediation.status for each in reader.page(filters, 50).items} == wanted
