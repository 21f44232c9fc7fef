"""Queue triggers and outputs on a real Azurite."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

import azure.functions as func
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.functions.meta import Datum
from azure.storage.queue import QueueClient

from dev.functions_host.bindings import LocalFunction, load_function
from dev.functions_host.invoker import Invoker
from dev.functions_host.queue_client import Queue, Queues, UndecodableMessageError, decode_text, encode_text
from dev.functions_host.queue_trigger import Backoff, Nudges, QueuePump, outgoing_messages, poison_queue_name
from dev.functions_host.settings import QueueSettings
from dev.stack.services import Azurite
from tests.dev.functions_host.conftest import HostFactory
from tests.dev.functions_host.processes import Host, until

APP = """
import json
import typing
import azure.functions as func

STORAGE = "AzureWebJobsStorage"
app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="incoming", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen", connection=STORAGE)
def copy(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set(json.dumps({
        "id": message.id, "body": message.get_body().decode(), "dequeueCount": message.dequeue_count,
        "receipt": bool(message.pop_receipt), "insertedIn": message.insertion_time.year,
        "expiresIn": message.expiration_time.year,
    }))


@app.queue_trigger(arg_name="message", queue_name="failing", connection=STORAGE)
def fail(message: func.QueueMessage) -> None:
    raise ValueError("always")


@app.queue_trigger(arg_name="text", queue_name="failing-poison", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-poison", connection=STORAGE)
def poisoned(text: str, out: func.Out[str]) -> None:
    out.set("poisoned " + text)


@app.queue_trigger(arg_name="message", queue_name="flaky", connection=STORAGE)
@app.queue_output(arg_name="$return", queue_name="seen-flaky", connection=STORAGE)
def flaky(message: func.QueueMessage) -> str:
    if message.dequeue_count == 1:
        raise ValueError("the first time")
    return f"attempt {message.dequeue_count}"


@app.queue_trigger(arg_name="message", queue_name="half", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-half", connection=STORAGE)
def half(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set("must not be sent")
    raise ValueError("after the output was set")


@app.queue_trigger(arg_name="message", queue_name="lists", connection=STORAGE)
@app.queue_output(arg_name="out", queue_name="seen-lists", connection=STORAGE)
async def several(message: func.QueueMessage, out: func.Out[typing.List[str]]) -> None:
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
        self._client(queue).send_message(base64.b64encode(text.encode()).decode())

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
def host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("queues"), APP, HOST_JSON)
    try:
        running.start({"AzureWebJobsStorage": azurite.connection_string})
        for queue in ("incoming", "failing", "failing-poison", "flaky", "half", "lists"):
            until(partial(Storage(azurite.connection_string).exists, queue), f"{queue} is created")
        yield running
    finally:
        running.stop()


@pytest.mark.usefixtures("host")
class TestMessages:
    def test_body_reaches_the_function(self, storage: Storage) -> None:
        storage.put("incoming", "ünïcode")
        assert json.loads(storage.take("seen"))["body"] == "ünïcode"

    def test_metadata_reaches_the_function(self, storage: Storage) -> None:
        storage.put("incoming", "x")
        seen = json.loads(storage.take("seen"))
        assert (seen["dequeueCount"], seen["receipt"], seen["expiresIn"] >= seen["insertedIn"]) == (
            1,
            True,
            True,
        )

    def test_message_is_deleted_after_success(self, storage: Storage) -> None:
        storage.put("incoming", "x")
        storage.take("seen")
        until(lambda: storage.is_empty("incoming"), "the message is deleted")

    def test_failed_message_is_delivered_again(self, storage: Storage) -> None:
        storage.put("flaky", "x")
        assert storage.take("seen-flaky") == "attempt 2"

    def test_message_that_failed_too_often_moves_to_the_poison_queue(self, storage: Storage) -> None:
        storage.put("failing", "the body")
        assert storage.take("seen-poison") == "poisoned the body"

    def test_poisoned_message_leaves_its_queue(self, storage: Storage) -> None:
        storage.put("failing", "x")
        storage.take("seen-poison")
        until(lambda: storage.is_empty("failing"), "the message is gone")

    def test_message_that_is_not_base64_moves_to_the_poison_queue_unchanged(self, storage: Storage) -> None:
        storage.put_raw("incoming", "not base64!")
        assert until(lambda: storage.take_raw("incoming-poison"), "it is moved") == "not base64!"

    def test_message_after_one_that_is_not_base64_is_processed(self, storage: Storage) -> None:
        storage.put_raw("incoming", "not base64!")
        storage.put("incoming", "next")
        assert json.loads(storage.take("seen"))["body"] == "next"

    def test_output_of_a_function_that_failed_is_not_sent(self, storage: Storage) -> None:
        storage.put("half", "x")
        until(lambda: storage.take_raw("half-poison"), "the message is poisoned")
        assert not storage.exists("seen-half")

    def test_list_output_is_one_message_per_item(self, storage: Storage) -> None:
        storage.put("lists", "x")
        assert sorted([storage.take("seen-lists"), storage.take("seen-lists")]) == ["one", "two"]


def test_outage_of_storage_is_survived(own_azurite: Azurite, new_host: HostFactory) -> None:
    host = new_host(APP, HOST_JSON).start({"AzureWebJobsStorage": own_azurite.connection_string})
    storage = Storage(own_azurite.connection_string)
    until(lambda: storage.exists("incoming"), "the queue is created")
    own_azurite.stop()
    host.wait_for_log("Queue 'incoming' cannot be reached, will try again")
    own_azurite.start()
    own_azurite.wait()
    storage.put("incoming", "after the outage")
    assert json.loads(storage.take("seen"))["body"] == "after the outage"


def test_host_starts_while_storage_is_away(own_azurite: Azurite, new_host: HostFactory) -> None:
    own_azurite.stop()
    host = new_host(APP, HOST_JSON).start({"AzureWebJobsStorage": own_azurite.connection_string})
    host.wait_for_log("Queue 'incoming' cannot be reached, will try again")
    own_azurite.start()
    own_azurite.wait()
    until(lambda: Storage(own_azurite.connection_string).exists("incoming"), "the queue is created")


class Recorder:
    """An async function under test in this process: counts what runs at once."""

    def __init__(self) -> None:
        self.running = self.most_at_once = self.started = 0
        self.release = asyncio.Event()
        self.release.set()

    async def __call__(self, message: func.QueueMessage) -> None:
        self.started += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        await self.release.wait()
        self.running -= 1


def local_function(body: Any) -> LocalFunction:
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="message", queue_name="unused", connection="AzureWebJobsStorage")
    async def trigger(message: func.QueueMessage) -> None:
        await body(message)

    return load_function(app.get_functions()[0], {})


async def no_output(*_: object) -> None:
    raise AssertionError("the function has no output")


async def eventually(condition: Any, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def pump(queue: Queue, body: Any, settings: QueueSettings, lease: timedelta) -> QueuePump:
    invoker = Invoker(None, no_output)
    return QueuePump(local_function(body), queue, None, settings, invoker, Nudges(), lease)


def test_no_more_than_batch_size_and_threshold_run_at_once(azurite: Azurite) -> None:
    async def scenario() -> Recorder:
        queues, recorder = Queues(), Recorder()
        queue = queues.open(azurite.connection_string, "bounded")
        for number in range(9):
            await queue.send(encode_text(str(number), "base64"))
        recorder.release.clear()
        settings = QueueSettings(batch_size=3, new_batch_threshold=1)
        running = asyncio.create_task(pump(queue, recorder, settings, timedelta(minutes=1)).run())
        await eventually(lambda: recorder.running == 3)
        recorder.release.set()
        await eventually(lambda: recorder.started == 9)
        running.cancel()
        queues.close()
        return recorder

    assert asyncio.run(scenario()).most_at_once <= 4


def test_lease_is_renewed_while_the_function_runs(azurite: Azurite) -> None:
    lease = timedelta(seconds=2)

    async def scenario() -> list[Any]:
        queues, recorder = Queues(), Recorder()
        queue = queues.open(azurite.connection_string, "leased")
        await queue.send(encode_text("x", "base64"))
        recorder.release.clear()
        running = asyncio.create_task(pump(queue, recorder, QueueSettings(), lease).run())
        await eventually(lambda: recorder.started == 1)
        stolen: list[Any] = []
        deadline = monotonic() + 2 * lease.total_seconds()
        while monotonic() < deadline and not stolen:
            stolen = await queue.receive(1, lease)
            await asyncio.sleep(0.1)
        running.cancel()
        queues.close()
        return stolen

    assert asyncio.run(scenario()) == []


def test_stopping_gives_an_unfinished_message_back(azurite: Azurite) -> None:
    async def scenario() -> int:
        queues, recorder = Queues(), Recorder()
        queue = queues.open(azurite.connection_string, "returned")
        await queue.send(encode_text("x", "base64"))
        recorder.release.clear()
        trigger = pump(queue, recorder, QueueSettings(), timedelta(minutes=10))
        running = asyncio.create_task(trigger.run())
        await eventually(lambda: recorder.started == 1)
        running.cancel()
        await trigger.stop()
        given_back = await queue.receive(1, timedelta(seconds=1))
        queues.close()
        return len(given_back)

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize(
    ("datum", "messages"),
    [
        (Datum("text", "string"), ["text"]),
        (Datum(b"\x00", "bytes"), [b"\x00"]),
        (Datum('{"a":1}', "string"), ['{"a":1}']),
        (Datum('["a", {"b": 1}]', "string"), ["a", '{"b": 1}']),
        (Datum("[not json", "string"), ["[not json"]),
        (Datum('{"id": null, "body": "b"}', "json"), ["b"]),
        (Datum("[]", "json"), []),
    ],
)
def test_messages_of_an_output_value(datum: Datum, messages: list[str | bytes]) -> None:
    assert outgoing_messages(datum) == messages


@pytest.mark.parametrize("encoding", ["base64", "none"])
def test_text_survives_encoding(encoding: Any) -> None:
    assert decode_text(encode_text("ü", encoding), encoding) == "ü"


def test_bytes_survive_base64() -> None:
    assert decode_text(encode_text(b"\xff", "base64"), "base64") == b"\xff"


@pytest.mark.parametrize("text", ["not base64!", "YQ", "é"])
def test_text_that_is_not_base64_is_told_apart(text: str) -> None:
    with pytest.raises(UndecodableMessageError):
        decode_text(text, "base64")


def test_poison_queue_has_no_poison_queue() -> None:
    assert poison_queue_name("jobs-poison") is None


def test_waits_grow_to_the_longest() -> None:
    backoff = Backoff(2.0)
    waits = [backoff.next() for _ in range(8)]
    assert (waits == sorted(waits), waits[-1]) == (True, 2.0)


def test_waits_start_over_after_work() -> None:
    backoff = Backoff(2.0)
    for _ in range(8):
        backoff.next()
    backoff.reset()
    assert backoff.next() < 0.2
