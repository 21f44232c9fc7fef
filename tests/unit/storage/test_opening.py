"""Opening is one transaction: all three rows are there, or none."""

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError

from shared.storage.conflicts import WriteConflict
from shared.storage.table_rows import shard_of
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, LATER, NOW, queued


def test_who_loses_the_instance_leaves_nothing_behind() -> None:
    store = MemoryStore()
    store.open(queued(), None)
    late = queued(at=LATER)
    with pytest.raises(WriteConflict):
        store.open(late, None)
    assert store.load(late.id) is None
    assert [entry.remediation_id for entry in store.due(shard_of(late.id), LATER, 10)] == [queued().id]


def test_an_outdated_pointer_opens_nothing() -> None:
    store = MemoryStore()
    store.open(queued(), None)
    pointer = store.latest_pointer(INSTANCE)
    store.open(queued(at=LATER), pointer)
    with pytest.raises(WriteConflict):
        store.open(queued(at=NOW.replace(year=2027)), pointer)
    assert len(store.remediations()) == 2


NO_ANSWER = ServiceResponseError("no answer")
LATE_ERROR = HttpResponseError("the front end gave up")


def failing_at(request: int, failure: Exception = NO_ANSWER) -> Iterator[None]:
    """Boundaries of requests, two each; this one has no answer."""
    for number in range(100):
        if number == request:
            raise failure
        yield


@pytest.mark.parametrize("failure", [NO_ANSWER, LATE_ERROR])
def test_an_opening_whose_answer_is_lost_is_found(failure: Exception) -> None:
    boundaries = failing_at(1, failure)
    store = MemoryStore(lambda: next(boundaries, None))
    assert store.open(queued(), None).remediation == queued()


def test_an_opening_that_was_not_written_is_none() -> None:
    boundaries = failing_at(0)
    store = MemoryStore(lambda: next(boundaries, None))
    with pytest.raises(ServiceResponseError):
        store.open(queued(), None)
    assert store.remediations() == []
