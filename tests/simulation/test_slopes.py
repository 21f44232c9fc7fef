"""More is due than one poll run has time for: the runs together do what a single one would, and none of it twice."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.domain.signal import Signal
from shared.healing.intake import Opened
from shared.rate_limits.rate_limiter import Gcra
from tests.simulation.hosts import Limits
from tests.simulation.scenario import ends, instance, new_world
from tests.simulation.world import World

_DUE = 400
_BATCH_SIZE = 10
"""Remediations in a query: about a tenth of what a run has time for, where 200 are a fiftieth in production."""
_REQUESTS_OF_A_RUN = 10
"""To storage, that a run may make more than its polls need: a due query and a last transaction, not full, for each
of four shards, a look for incidents, and a query whose remediations it has no time for."""
_AZURE_SECONDS = 0.2
"""Of each request to a slow Resource Manager, so that a run has time for some sixty of the due."""
_REQUEST_SECONDS = 0.15
"""Of a host's processor for each request: it is about half as fast by that."""
pytestmark = pytest.mark.once


@dataclass
class Cost:
    """The operations that it took until all was polled, stored and announced."""

    runs: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """That storage gave, by the first letter of their keys."""
    requests: int = 0
    """Queries and transactions; the read limit has single rows, and goes by time."""
    seconds: float = 0.0
    """Of the first run to the end of the last remediation."""
    polls: int = 0
    reads: int = 0
    announced: tuple[int, int] = (0, 0)
    """Remediations, and how often one of them was."""


def cost(azure_seconds: float = 0.0, request_seconds: float = 0.0) -> Cost:
    """One host polls operations that are all over, and due at once."""
    plenty = Gcra(burst=100_000, rate=100_000)
    world, found = new_world(limits=Limits(plenty, plenty)), Cost()
    world.azure.duration, world.chances.latency = (0.0, 0.0), (0.0001, 0.0001)
    world.chances.azure_seconds, world.request_seconds = azure_seconds, request_seconds
    _begin(world)
    _count(world, found)
    world.run_until_over(7_200)
    assert ends(world) == {"Healed": _DUE}
    found.polls, found.reads = world.azure.polls, world.azure.reads
    found.seconds = max(world.record.ended_at.values()) - world.poll_interval
    times = Counter(remediation_id for remediation_id, _ in world.topic.announced)
    found.announced = len(times), max(times.values())
    return found


def _begin(world: World) -> None:
    """All have failed, and their sync calls were accepted, in no time."""
    app = world.hosts[0].app
    for number in range(_DUE):
        failing = instance(number)
        world.azure.breaks(failing)
        opened = app.intake.accept(Signal(failing, "Event", "backup failed", world.scheduler.now))
        assert isinstance(opened, Opened)
        assert opened.job
        app.submit.run(opened.job.to_message())
    world.azure.reads = 0
    # Another host polls them, which has none of them in its cache.
    world.hosts.clear()
    world.start_host("another")


def _count(world: World, found: Cost) -> None:
    """Count what storage is asked and gives, and the runs that begin with something due."""
    table, poller = world.table, world.hosts[0].app.poller
    query, transaction, work = table._query, table.submit_transaction, poller._work

    def counted_query(*arguments: Any) -> Iterator[Any]:
        found.requests += 1
        for row in query(*arguments):
            found.rows[row["RowKey"][0]] += 1
            yield row

    def counted_transaction(operations: Any, **options: Any) -> Any:
        found.requests += 1
        return transaction(operations, **options)

    def counted_work(due: Any, *arguments: Any) -> int:
        found.runs += any(due.values())
        return work(due, *arguments)

    table._query, table.submit_transaction = counted_query, counted_transaction  # type: ignore[method-assign,assignment] # counted
    poller._work = counted_work  # type: ignore[method-assign,assignment] # likewise


@pytest.fixture(scope="module")
def at_once(one_thread: None) -> Iterator[Cost]:
    """One run takes all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.healing.due_reader.BATCH_SIZE", _BATCH_SIZE)
        yield cost()


@pytest.fixture(scope="module")
def in_parts(at_once: Cost) -> Cost:
    """Resource Manager is slow: a run has time for some of it."""
    return cost(_AZURE_SECONDS)


@pytest.fixture(scope="module")
def at_half_speed(in_parts: Cost) -> Cost:
    """So is the host."""
    return cost(_AZURE_SECONDS, _REQUEST_SECONDS)


@pytest.fixture(params=["in_parts", "at_half_speed"])
def slow(request: pytest.FixtureRequest) -> Cost:
    found: Cost = request.getfixturevalue(request.param)
    return found


def test_one_run_takes_all_where_there_is_time(at_once: Cost) -> None:
    assert (at_once.runs, at_once.polls, at_once.reads, at_once.rows["r"]) == (1, _DUE, _DUE, _DUE)


def test_a_slow_azure_takes_several_runs(in_parts: Cost) -> None:
    assert 5 <= in_parts.runs <= 10


def test_nothing_is_polled_twice_and_nothing_is_lost(slow: Cost) -> None:
    assert (slow.polls, slow.reads, slow.announced) == (_DUE, _DUE, (_DUE, 1))


def test_a_run_that_ends_has_read_no_more_than_one_query_for_nothing(slow: Cost) -> None:
    assert slow.rows["r"] <= _DUE + (slow.runs - 1) * _BATCH_SIZE


def test_a_run_reads_each_entry_that_is_still_due_once(slow: Cost) -> None:
    assert slow.rows["d"] <= _DUE * (slow.runs + 1) / 2


def test_a_run_costs_storage_a_fixed_number_of_requests_more(slow: Cost, at_once: Cost) -> None:
    assert slow.requests <= at_once.requests + (slow.runs - 1) * _REQUESTS_OF_A_RUN


def test_a_host_half_as_fast_takes_twice_the_time_and_no_more(in_parts: Cost, at_half_speed: Cost) -> None:
    assert 1.5 * in_parts.seconds < at_half_speed.seconds < 2.5 * in_parts.seconds
