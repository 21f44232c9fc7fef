"""A table and a queue that are made at their first use, and again when somebody deletes them."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from azure.data.tables import TableClient
from azure.storage.queue import QueueClient

from shared.storage.connection import open_queue, open_table

ROW = {"PartitionKey": "p", "RowKey": "r"}


@pytest.fixture
def table(connection_string: str) -> Iterator[TableClient]:
    with open_table(f"t{uuid4().hex}", {"AzureWebJobsStorage": connection_string}) as client:
        yield client
        client.delete_table()


@pytest.fixture
def queue(connection_string: str) -> Iterator[QueueClient]:
    with open_queue(f"q{uuid4().hex}", {"AzureWebJobsStorage": connection_string}) as client:
        yield client
        client.delete_queue()


def test_a_table_is_made_at_its_first_use(table: TableClient) -> None:
    assert list(table.query_entities("PartitionKey eq 'p'")) == []


def test_a_table_that_was_deleted_takes_rows_again(table: TableClient) -> None:
    table.create_entity(ROW)
    table.delete_table()
    table.create_entity(ROW)
    table.delete_table()
    table.submit_transaction([("create", ROW), ("create", {**ROW, "RowKey": "s"})])
    assert len(list(table.list_entities())) == 2


def test_a_queue_is_made_at_its_first_use_and_again(queue: QueueClient) -> None:
    queue.send_message("a")
    queue.delete_queue()
    queue.send_message("b")
    assert [message.content for message in queue.receive_messages()] == ["b"]
