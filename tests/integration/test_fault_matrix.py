"""Every call of the app to another service, and everything that can go wrong with it.

Each cell of the matrix is one test. The fault comes for one run of a trigger, for a few, and for good; whatever comes,
no exception leaves a trigger but those that make storage's triggers run again, nothing ends because of a fault that
passes, and nothing runs on for ever.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
import requests
from azure.core.pipeline.transport import HttpTransport
from azure.data.tables import TableServiceClient

from shared.clients import outcome_topic
from shared.clients.arm import ArmClient
from shared.clients.http_session import pooled_session
from shared.clients.resource_graph import ResourceGraph
from shared.domain import state_machine
from shared.domain.remediation import Status
from shared.storage import connection, storage_transport
from shared.storage.bucket_store import BucketStore
from shared.storage.remediation_store import RemediationStore
from tests.conftest import FAULT_MATRIX
from tests.support import faults
from tests.support.fault_world import ALERT, EVENT, JOB, REQUEST, SWEEP, TIMER, Storage, Timeouts, World
from tests.support.faulty_azure import (
    ACCESS,
    BLOB,
    CALLS,
    GRAPH,
    IDENTITY,
    INSTANCE,
    QUEUE,
    STATUS,
    STORAGE,
    SYNC,
    TABLE,
    TOPIC,
    VAULT,
    FaultyAzure,
    faulty_azure,
)
from tests.support.gateway import Fault
from tests.support.processes import REPOSITORY
from tests.support.simulator import Simulator

pytestmark = pytest.mark.once

CELLS = list(product(CALLS, faults.NAMES))
_A_WHILE = 4
"""Runs of a trigger: more than a poll waits for before it asks the instance instead."""
_MAX_DEFERRALS = 20
_SHORT, _LONG = 0.03, 0.15
"""Seconds until a call without an answer is given up; the longer ones where a true answer must come in time."""
_MAX_SLEEP = 5.0
"""Seconds that a client of Azure's may sleep between its own tries."""
MEETS: Mapping[str, tuple[str, ...]] = {
    SYNC: (JOB,),
    STATUS: (TIMER,),
    INSTANCE: (TIMER,),
    VAULT: (ALERT,),
    ACCESS: (REQUEST,),
    GRAPH: (SWEEP,),
    IDENTITY: (JOB,),
    TOPIC: (TIMER,),
    TABLE: (EVENT, JOB, TIMER),
    QUEUE: (JOB, TIMER),
    BLOB: (TIMER,),
}
"""The triggers that make each call."""
SIGNALS = {VAULT: ALERT, GRAPH: SWEEP}
"""Triggers of the calls that are made before there is a remediation; an event opens the others."""
SDKS = {
    "azure.data.tables": TABLE,
    "azure.eventgrid": TOPIC,
    "azure.identity": IDENTITY,
    "azure.storage.blob": BLOB,
    "azure.storage.queue": QUEUE,
}
"""The call of each of Azure's SDKs."""
METHODS = {
    "sync": SYNC,
    "operation": STATUS,
    "read": INSTANCE,
    "instances": VAULT,
    "check_access": ACCESS,
    "broken_instances": GRAPH,
    "rows": GRAPH,
    "pages": GRAPH,
}
"""The call of each method of the clients that have no SDK, but for what these methods share."""
SHARED = {"send", "check_url"}
VERDICTS: Mapping[tuple[str, str], str] = {
    (SYNC, "404"): "Resource Manager says that there is no such instance: nothing is left to be healed",
    (INSTANCE, "404"): "Resource Manager says that there is no such instance: nothing is left to be healed",
    (VAULT, "403"): "the app has no right to list the vault: a failing webhook would cost Azure Monitor's other alerts",
    (VAULT, "404"): "Resource Manager says that there is no such vault",
    (TOPIC, "empty"): "it is the topic's own answer to what it has taken",
}
"""The cells in which the answer is no fault but the call's result, which is final, with the reason."""


@pytest.fixture(scope="module")
def gateways(
    running_azure: Simulator, connection_string: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyAzure]:
    with faulty_azure(running_azure, connection_string, tmp_path_factory.mktemp("gateways")) as azure:
        yield azure


@pytest.fixture
def azure(gateways: FaultyAzure, monkeypatch: pytest.MonkeyPatch) -> FaultyAzure:
    for name, value in gateways.environment.items():
        monkeypatch.setenv(name, value)
    return gateways


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long Azure's SDKs slept between their tries; in truth they did not."""
    slept: list[float] = []
    monkeypatch.setattr(HttpTransport, "sleep", lambda _, seconds: slept.append(seconds))
    return slept


@pytest.fixture(scope="module")
def session(gateways: FaultyAzure) -> requests.Session:
    """To Resource Manager, for all cells: to read the certificates takes longer than a cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(gateways.ca))
        return pooled_session(gateways.arm, 4)


@pytest.fixture
def storage(azure: FaultyAzure, connection_string: str) -> Iterator[Callable[[str], Storage]]:
    """Makes the storage of a world in which these calls can meet a fault."""
    name = f"matrix{uuid4().hex}"
    through = {"AzureWebJobsStorage": azure.connection_string}
    tables = TableServiceClient.from_connection_string(connection_string)
    made = []

    def make(call: str) -> Storage:
        made.append(call)
        if call == TABLE:
            table, behind = connection.open_table(name, through), tables.get_table_client(name)
            return Storage(RemediationStore(table), BucketStore(table), RemediationStore(behind), table)
        if call == BLOB:
            # One for each world: leases end by the real clock.
            return Storage.in_memory(leases=connection.open_container(f"{name}{len(made)}", through))
        return Storage.in_memory(connection.open_queue(name, through) if call == QUEUE else None)

    yield make
    if TABLE in made:
        tables.delete_table(name)
    tables.close()


@dataclass(frozen=True)
class Cell:
    """A call, a fault, and worlds to try both in."""

    call: str
    fault: Fault
    world: Callable[[float], World]
    """Makes one; silence is waited for so many seconds."""

    @property
    def verdict(self) -> str | None:
        return VERDICTS.get((self.call, self.fault.name))

    @property
    def is_disguised(self) -> bool:
        """Whether the true answer comes, so that it may well be understood."""
        return self.fault.how == "disguise"

    def brought(self, runs: int | None, silence: float = _SHORT) -> World:
        """A world whose signal is on its way; the fault is there for so many runs, or for good."""
        world = self.world(silence)
        world.arm_fault(self.fault, MEETS[self.call], runs)
        world.signal(SIGNALS.get(self.call, EVENT))
        return world


@pytest.fixture
def cell(
    request: pytest.FixtureRequest,
    azure: FaultyAzure,
    storage: Callable[[str], Storage],
    session: requests.Session,
    monkeypatch: pytest.MonkeyPatch,
) -> Cell:
    call, name = request.param

    # As long as the back-off grows; sixty of them say no more, and take three times as long.
    monkeypatch.setattr(state_machine, "MAX_DEFERRALS", _MAX_DEFERRALS)

    def world(silence: float) -> World:
        azure.reset()
        timeouts = Timeouts()
        if name == "time-out":
            timeouts = Timeouts(10.0, silence) if call == IDENTITY else Timeouts(silence, 10.0)
            topic_options = {**outcome_topic._CLIENT_OPTIONS, "read_timeout": silence}
            monkeypatch.setattr(outcome_topic, "_CLIENT_OPTIONS", topic_options)
            monkeypatch.setattr(storage_transport, "READ_TIMEOUT", silence)
        made = World(azure, call, storage(call), session, timeouts)
        made.put(**({"syncFaults": [{"status": 503}]} if call == QUEUE else {}))
        return made

    return Cell(call, azure.faults(call)[name], world)


def assert_healed_and_announced(world: World) -> None:
    healed = world.settle()
    assert healed is not None, "the signal is lost"
    assert healed.status is Status.HEALED, healed
    assert healed.id in [event["id"] for event in world.azure.simulator.events()]
    assert world.azure.served_elsewhere() == []


def comes_and_passes(cell: Cell, runs: int) -> None:
    """The remediation heals as if nothing had been."""
    world = cell.brought(runs, silence=_LONG)
    if cell.verdict:
        ended = world.settle()
        assert ended is None or ended.status in (Status.REJECTED, Status.HEALED), ended
        return
    assert_healed_and_announced(world)
    assert world.met
    # A call whose answer was lost is made again.
    assert len(world.syncs) <= 1 + (runs if cell.call == SYNC and cell.fault.how == "cut the body" else 0)


def stays_at_a_call_of_a_heal(cell: Cell) -> None:
    """It ends by what the design counts, attempts or deferrals, and the calls become ever rarer."""
    world = cell.brought(None)
    ended = world.settle()
    assert ended is not None
    assert ended.status in ends_of(cell), ended
    assert world.met or cell.is_disguised
    assert sum(met.requests for met in world.met) <= 2 * _MAX_DEFERRALS
    if len(world.met) > 10:
        last, before = world.met[-1].at, world.met[-2].at
        assert last - before >= timedelta(minutes=25)


def ends_of(cell: Cell) -> set[Status]:
    """How a remediation may end whose call meets the fault for ever."""
    if cell.is_disguised or cell.call == STATUS:
        return {Status.HEALED}
    if cell.verdict:
        return {Status.REJECTED}
    if cell.call == SYNC and cell.fault.how == "cut the body":
        return {Status.HEALED}  # the call was taken, and the instance shows it
    if cell.call == SYNC and cell.fault.name in ("401", "403", "406", "412"):
        return {Status.REJECTED}
    if cell.call == SYNC and cell.fault.name in ("empty", "[]"):
        return {Status.UNHEALTHY}  # as Resource Manager answers when nothing is left to be done
    return {Status.TIMED_OUT}


def stays_before_a_heal(cell: Cell) -> None:
    """Alert or sweep come again; none asks more than a few times."""
    world = cell.brought(None)
    for _ in range(5):
        world.step()
    assert all(met.requests <= 4 for met in world.met)
    world.fault_passes()
    if not cell.verdict:
        assert_healed_and_announced(world)


def stays_at_the_topic(cell: Cell) -> None:
    """The outcome waits for as long as it takes."""
    world = cell.brought(None)
    for _ in range(40):
        world.step()
    assert world.remediation is not None
    assert world.remediation.status is Status.HEALED
    if world.remediation.due_at is not None:
        assert world.met[-1].at - world.met[-2].at >= timedelta(minutes=2)
        world.fault_passes()
    if not cell.verdict:
        assert_healed_and_announced(world)


def stays_at_storage(cell: Cell) -> None:
    """Nothing ends, though the queue gives the job up; all that is lost is time."""
    world = cell.brought(None)
    world.arm_fault(cell.fault, (JOB, TIMER))
    for _ in range(20):
        world.step()
    assert world.remediation is not None
    assert not world.remediation.status.is_terminal or world.remediation.status is Status.HEALED
    world.fault_passes()
    assert_healed_and_announced(world)


def answers_while_it_stays(cell: Cell) -> None:
    """Whoever asks by HTTP hears that something is away, and a timer fails by storage alone."""
    world = cell.brought(None)
    world.arm_fault(cell.fault, (REQUEST, "other timer"))
    requests = dict(world.callers.requests(world.instance, world.disk))
    if cell.call == TABLE:
        world.settle()
        assert world.remediation is not None
        requests |= world.callers.reading(world.remediation)
    for name, request in requests.items():
        response = world.run(REQUEST, request)
        assert response is not None
        assert response.status_code in (200, 202, 304, 404, 409, 502, 503), (name, response.get_body())
    for timer in world.callers.timers().values():
        world.run("other timer", timer)
    assert world.met or cell.is_disguised


def stays(cell: Cell) -> None:
    if cell.call in (SYNC, STATUS, INSTANCE, IDENTITY):
        stays_at_a_call_of_a_heal(cell)
    elif cell.call in (VAULT, GRAPH):
        stays_before_a_heal(cell)
    elif cell.call == TOPIC:
        stays_at_the_topic(cell)
    elif cell.call in STORAGE:
        stays_at_storage(cell)
    if cell.call not in (SYNC, STATUS, INSTANCE, TOPIC, BLOB):
        answers_while_it_stays(cell)


def test_every_call_of_the_app_is_in_the_matrix() -> None:
    """Clients of Azure's SDKs and the methods that call Resource Manager: whoever adds one adds a row."""
    code = "".join(file.read_text(encoding="utf-8") for file in (REPOSITORY / "shared").rglob("*.py"))
    sdks = set(re.findall(r"^\s*from (azure\.(?!core|functions)[\w.]+) import", code, re.MULTILINE))
    assert sdks == set(SDKS)
    assert {*SDKS.values(), *METHODS.values()} == set(CALLS) == set(MEETS)
    for client in (ArmClient, ResourceGraph):
        public = {name for name in vars(client) if not name.startswith("_")}
        assert public - {"send", "check_url"} <= set(METHODS)


@pytest.mark.parametrize("cell", CELLS, indirect=True, ids=[f"{call}: {name}" for call, name in CELLS])
def test_whatever_a_call_meets_nothing_is_lost_and_nothing_runs_on(
    cell: Cell, sleeps: list[float], record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT_MATRIX, (cell.call, cell.fault.name))
    if cell.call != ACCESS:
        comes_and_passes(cell, 1)
        comes_and_passes(cell, _A_WHILE)
    stays(cell)
    assert max(sleeps, default=0) <= _MAX_SLEEP
