"""Queue triggers and outputs on a real Azurite."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.functions.meta import Datum
from azure.storage.queue import QueueClient

from dev.functions_host.bindings import Binding, LocalFunction
from dev.functions_host.invoker import Invoker, Outcome
from dev.functions_host.queue_client import Queue, Queues
from dev.functions_host.queue_trigger import (
    Backoff,
    QueueListener,
    SharedQueueWatcher,
    encode,
    outgoing_messages,
    poison_queue_name,
)
from dev.functions_host.settings import QueueSettings
from dev.stack.services import Azurite
from tests.dev.functions_host.conftest import HostFactory
from tests.support.processes import AppHost, until

APP = """
import typing
import azure.functions as func

STORAGE = "AzureWebJobsStorage"
app = func.FunctionApp()
tried = set()


@app.queue_trigger(arg_name="message", queue_name="incoming", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
def copy(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set(message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name="failing", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-failing", connection=STORAGE)
def fail(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set("must not be sent")
    raise ValueError("always")


@app.queue_trigger(arg_name="message", queue_name="failing-poison", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-poison", connection=STORAGE)
def poisoned(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set("poisoned " + message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name="flaky", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-flaky", connection=STORAGE)
def flaky(message: func.QueueMessage, out: func.Out[str]) -> None:
    if message.get_body() not in tried:
        tried.add(message.get_body())
        raise ValueError("the first time")
    out.set("the second time")


@app.queue_trigger(arg_name="message", queue_name="lists", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-lists", connection=STORAGE)
def several(message: func.QueueMessage, out: func.Out[typing.List[str]]) -> None:
    out.set(["one", "two"])
"""
HOST_JSON = {
    "version": "2.0",
    "extensions": {
        "queues": {"maxDequeueCount": 2, "visibilityTimeout": "00:00:00", "maxPollingInterval": "00:00:00.2"}
    },
}


class Storage:
    """A test's own view of the queues."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string

    def put(self, queue: str, text: str) -> None:
        self.put_raw(queue, encode(text))

    def put_raw(self, queue: str, text: str) -> None:
        self._client(queue).send_message(text)

    def take_raw(self, queue: str) -> str | None:
        try:
            message = self._client(queue).receive_message()
        except ResourceNotFoundError:
            return None
        if message is None:
            return None
        self._client(queue).delete_message(message)
        return str(message.content)

    def take(self, queue: str) -> str:
        raw = until(lambda: self.take_raw(queue), f"a message in {queue}")
        return base64.b64decode(str(raw)).decode()

    def exists(self, queue: str) -> bool:
        try:
            self._client(queue).get_queue_properties()
        except ResourceNotFoundError:
            return False
        return True

    def is_empty(self, queue: str) -> bool:
        """Whether it holds no message at all, visible or leased."""
        return self._client(queue).get_queue_properties().approximate_message_count == 0

    def _client(self, queue: str) -> QueueClient:
        return QueueClient.from_connection_string(self._connection_string, queue)


@pytest.fixture(scope="module")
def storage(azurite: Azurite) -> Storage:
    return Storage(azurite.connection_string)


@pytest.fixture(scope="module")
def host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppHost]:
    running = AppHost(tmp_path_factory.mktemp("queues"), APP, HOST_JSON)
    try:
        running.run(AzureWebJobsStorage=azurite.connection_string)
        for queue in ("incoming", "failing", "failing-poison", "flaky", "lists"):
            until(partial(Storage(azurite.connection_string).exists, queue), f"{queue} is created")
        yield running
    finally:
        running.stop()


@pytest.mark.usefixtures("host")
class TestMessages:
    def test_body_reaches_the_function_and_the_message_is_deleted(self, storage: Storage) -> None:
        storage.put("incoming", "ünïcode")
        assert storage.take("seen") == "ünïcode"
        until(lambda: storage.is_empty("incoming"), "the message is deleted")

    def test_failed_message_is_delivered_again(self, storage: Storage) -> None:
        storage.put("flaky", "x")
        assert storage.take("seen-flaky") == "the second time"

    def test_message_that_failed_too_often_moves_to_the_poison_queue_and_no_output_is_sent(
        self, storage: Storage
    ) -> None:
        storage.put("failing", "the body")
        assert storage.take("seen-poison") == "poisoned the body"
        until(lambda: storage.is_empty("failing"), "the message is gone")
        assert not storage.exists("seen-failing")

    def test_message_that_is_not_base64_moves_to_the_poison_queue_unchanged(self, storage: Storage) -> None:
        storage.put_raw("incoming", "not base64!")
        assert until(lambda: storage.take_raw("incoming-poison"), "it is moved") == "not base64!"

    def test_message_after_one_that_is_not_base64_is_processed(self, storage: Storage) -> None:
        storage.put_raw("incoming", "é")
        storage.put("incoming", "next")
        assert storage.take("seen") == "next"

    def test_list_output_is_one_message_per_item(self, storage: Storage) -> None:
        storage.put("lists", "x")
        assert sorted([storage.take("seen-lists"), storage.take("seen-lists")]) == ["one", "two"]


def test_outage_of_storage_is_survived(own_azurite: Azurite, new_host: HostFactory) -> None:
    host = new_host(APP, HOST_JSON).run(AzureWebJobsStorage=own_azurite.connection_string)
    storage = Storage(own_azurite.connection_string)
    until(lambda: storage.exists("incoming"), "the queue is created")
    own_azurite.stop()
    host.wait_for_log("Queue 'incoming' cannot be reached, will try again")
    own_azurite.start()
    own_azurite.wait()
    storage.put("incoming", "after the outage")
    assert storage.take("seen") == "after the outage"


def test_host_starts_while_storage_is_away(own_azurite: Azurite, new_host: HostFactory) -> None:
    own_azurite.stop()
    host = new_host(APP, HOST_JSON).run(AzureWebJobsStorage=own_azurite.connection_string)
    host.wait_for_log("Queue 'incoming' cannot be reached, will try again")
    own_azurite.start()
    own_azurite.wait()
    until(lambda: Storage(own_azurite.connection_string).exists("incoming"), "the queue is created")


class Invocations(Invoker):
    """Runs no function: invocations that last until they are released, and how many run at once."""

    def __init__(self) -> None:
        self.running = self.max_running = self.started = 0
        self.release = asyncio.Event()

    async def invoke(self, function: LocalFunction, datum: Datum, *, reason: str) -> Outcome:
        self.started += 1
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        await self.release.wait()
        self.running -= 1
        return Outcome()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


def listener(queue: Queue, invocations: Invocations, settings: QueueSettings) -> QueueListener:
    function = LocalFunction("unused", print, Binding("message", "queueTrigger", {}, None), {}, None)
    return QueueListener(function, queue, None, settings, invocations, SharedQueueWatcher())


def test_no_more_than_batch_size_and_threshold_run_at_once(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE", azurite.connection_string)

    async def scenario() -> Invocations:
        queues, invocations = Queues(), Invocations()
        queue = queues.open("STORAGE", "bounded")
        for number in range(9):
            await queue.send(encode(str(number)))
        settings = QueueSettings(batch_size=3, new_batch_threshold=1)
        running = asyncio.create_task(listener(queue, invocations, settings).run())
        await eventually(lambda: invocations.running == 3)
        invocations.release.set()
        await eventually(lambda: invocations.started == 9)
        running.cancel()
        queues.close()
        return invocations

    assert asyncio.run(scenario()).max_running <= 4


def test_stopping_gives_an_unfinished_message_back(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE", azurite.connection_string)

    async def scenario() -> int:
        queues, invocations = Queues(), Invocations()
        queue = queues.open("STORAGE", "returned")
        await queue.send(encode("x"))
        trigger = listener(queue, invocations, QueueSettings())
        running = asyncio.create_task(trigger.run())
        await eventually(lambda: invocations.started == 1)
        running.cancel()
        await trigger.stop()
        given_back = await queue.receive(1, 1)
        queues.close()
        return len(given_back)

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize(
    ("datum", "messages"),
    [
        (Datum("text", "string"), ["text"]),
        (Datum('{"a":1}', "string"), ['{"a":1}']),
        (Datum('["a", "b"]', "json"), ["a", "b"]),
        (Datum("[]", "json"), []),
    ],
)
def test_messages_of_an_output_value(datum: Datum, messages: list[str]) -> None:
    assert outgoing_messages(datum) == messages


def test_poison_queue_has_no_poison_queue() -> None:
    assert poison_queue_name("jobs-poison") is None


def test_waits_grow_to_the_longest_and_start_over_after_work() -> None:
    backoff = Backoff(2.0)
    waits = [backoff.next() for _ in range(8)]
    assert (waits == sorted(waits), waits[-1]) == (True, 2.0)
    backoff.reset()
    assert backoff.next() < 0.2
