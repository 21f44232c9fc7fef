"""The host's calls to Queue Storage, as far as the real Azurite of test_queue_trigger does not answer like that."""

import asyncio
from collections.abc import Iterator

import pytest

from dev.functions_host.queue_client import Account, QueueError, Queues
from tests.support.scripted_server import ScriptedServer, scripted_server

KEY = "eA=="


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def account(port: int) -> Account:
    return Account(f"AccountName=a;AccountKey={KEY};QueueEndpoint=http://127.0.0.1:{port}/a;")


def test_an_error_without_an_answer_shows_no_signature(running: ScriptedServer) -> None:
    running.script([{"status": 200, "text": "x", "cut": 1}])
    with pytest.raises(QueueError) as error:
        account(running.port).send("GET", "jobs")
    assert (error.value.status, "sig" in str(error.value)) == (None, False)


def test_a_refusal_has_its_status_and_code(running: ScriptedServer) -> None:
    running.script([{"status": 404, "headers": {"x-ms-error-code": "QueueNotFound"}}])
    with pytest.raises(QueueError, match=r"404 QueueNotFound$") as error:
        account(running.port).send("GET", "jobs")
    assert error.value.status == 404


def test_a_dropped_connection_and_a_sick_front_end_are_bridged_once(running: ScriptedServer) -> None:
    running.script([{"status": 503}, {"status": 201}])
    assert account(running.port).send("POST", "jobs/messages", "<QueueMessage/>").status == 201


@pytest.mark.parametrize("text", ["<html>", "", "<m><QueueMessage><DequeueCount>x</DequeueCount></QueueMessage></m>"])
def test_an_answer_that_is_not_storages_is_an_error(
    running: ScriptedServer, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    running.script([{"status": 200, "text": text}])
    monkeypatch.setenv("STORAGE", f"AccountName=a;AccountKey={KEY};QueueEndpoint=http://127.0.0.1:{running.port}/a;")
    with pytest.raises(QueueError, match="not an answer of Queue Storage"):
        asyncio.run(Queues().open("STORAGE", "jobs").receive(1, 30))
