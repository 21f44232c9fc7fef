"""The storage SDKs' clients and answers that are not storage's, and of a table that is gone."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError, ServiceResponseError
from azure.data.tables import TableClient
from azure.storage.queue import QueueClient

from shared.storage.connection import open_queue, open_table
from tests.support.scripted_server import Answer, ScriptedServer, scripted_server

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
FROM_STORAGE = {"x-ms-request-id": "0b1c2d3e-0000-4000-8000-000000000001", "x-ms-version": "2019-02-02"}
PAGE: Answer = {"headers": {"Content-Type": "text/html"}, "text": "<html>Sign in</html>"}
EMPTY_LIST: Answer = {"status": 200, "headers": FROM_STORAGE, "body": {"value": []}}
MADE: Answer = {"status": 201, "headers": FROM_STORAGE, "body": {"TableName": "t"}}
NO_TABLE: Answer = {"status": 404, "headers": FROM_STORAGE, "body": {"odata.error": {"code": "TableNotFound"}}}
ROW = {"PartitionKey": "p", "RowKey": "r"}
NO_ROW: Answer = {"status": 404, "headers": FROM_STORAGE, "body": {"odata.error": {"code": "ResourceNotFound"}}}


@pytest.fixture
def storage() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def environment(storage: ScriptedServer) -> dict[str, str]:
    url = f"http://127.0.0.1:{storage.port}/account"
    ends = f"TableEndpoint={url};QueueEndpoint={url};BlobEndpoint={url};"
    return {"AzureWebJobsStorage": f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey={KEY};{ends}"}


@pytest.fixture
def table(environment: dict[str, str]) -> Iterator[TableClient]:
    with open_table("t", environment) as client:
        yield client


@pytest.fixture
def queue(environment: dict[str, str]) -> Iterator[QueueClient]:
    with open_queue("q", environment) as client:
        yield client


def methods(storage: ScriptedServer) -> list[str]:
    return [method for method, _, _ in storage.requests]


def test_nothing_is_asked_of_storage_before_the_first_use(
    storage: ScriptedServer, table: TableClient, queue: QueueClient
) -> None:
    assert storage.requests == []


@pytest.mark.parametrize("status", [200, 202, 204, 302, 404, 409, 412])
@pytest.mark.parametrize(
    "use",
    [
        lambda table: table.get_entity("p", "r"),
        lambda table: table.create_entity({"PartitionKey": "p", "RowKey": "r"}),
        lambda table: list(table.query_entities("PartitionKey eq 'p'")),
        lambda table: table.submit_transaction([("upsert", {"PartitionKey": "p", "RowKey": "r"})]),
    ],
    ids=["read", "create", "query", "transaction"],
)
def test_a_page_of_a_gateway_is_no_answer_of_storage(
    storage: ScriptedServer, table: TableClient, use: Callable[[TableClient], object], status: int
) -> None:
    storage.script([{**PAGE, "status": status}])
    with pytest.raises(ServiceResponseError, match="not an answer of Azure Storage"):
        use(table)


USES = pytest.mark.parametrize(
    "use",
    [
        lambda table: table.get_entity("p", "r"),
        lambda table: table.create_entity({"PartitionKey": "p", "RowKey": "r"}),
        lambda table: table.update_entity({"PartitionKey": "p", "RowKey": "r"}),
        lambda table: list(table.query_entities("PartitionKey eq 'p'")),
        lambda table: table.submit_transaction([("upsert", {"PartitionKey": "p", "RowKey": "r"})]),
    ],
    ids=["read", "create", "update", "query", "transaction"],
)
Use = Callable[[TableClient], object]


@USES
def test_an_answer_that_is_cut_off_is_an_error_of_storage(
    storage: ScriptedServer, table: TableClient, use: Use
) -> None:
    storage.script([{**EMPTY_LIST, "cut": 3}])
    with pytest.raises(AzureError):
        use(table)


@USES
@pytest.mark.parametrize("content_type", [None, "text/html", "text/plain; charset=utf-8"])
def test_a_type_that_storage_never_sends_is_no_answer_of_storage(
    storage: ScriptedServer, table: TableClient, use: Use, content_type: str | None
) -> None:
    storage.script([{**EMPTY_LIST, "headers": {**FROM_STORAGE, "Content-Type": content_type}}])
    with pytest.raises(ServiceResponseError, match="not an answer of Azure Storage"):
        use(table)


def test_a_result_of_a_transaction_that_does_not_begin_as_one_is_no_answer_of_storage(
    storage: ScriptedServer, table: TableClient
) -> None:
    headers = {**FROM_STORAGE, "Content-Type": "multipart/mixed; boundary=batch_1"}
    storage.script([{"status": 202, "headers": headers, "text": "\ufeff--batch_1\r\n\r\n--batch_1--"}])
    with pytest.raises(ServiceResponseError, match="not an answer of Azure Storage"):
        table.submit_transaction([("upsert", {"PartitionKey": "p", "RowKey": "r"})])


def test_a_byte_order_mark_is_read_over(storage: ScriptedServer, table: TableClient) -> None:
    headers = {**FROM_STORAGE, "Content-Type": "application/json;odata=minimalmetadata"}
    storage.script([{"status": 200, "headers": headers, "text": '\ufeff{"PartitionKey": "p", "RowKey": "r"}'}])
    assert table.get_entity("p", "r")["RowKey"] == "r"


def test_a_page_of_a_gateway_is_no_message_that_was_taken(storage: ScriptedServer, queue: QueueClient) -> None:
    storage.script([{**PAGE, "status": 201}])
    with pytest.raises(AzureError):
        queue.send_message("x")


def test_storage_that_asks_for_a_long_wait_is_not_waited_for(storage: ScriptedServer, table: TableClient) -> None:
    storage.script([{"status": 503, "headers": {**FROM_STORAGE, "Retry-After": "3600"}, "text": ""}])
    with pytest.raises(HttpResponseError):
        table.get_entity("p", "r")
    assert len(storage.requests) == 3


def test_the_time_outs_are_seconds(table: TableClient, queue: QueueClient) -> None:
    for client in (table, queue):
        transport: Any = client._client._client._pipeline._transport  # no public way leads there
        assert (transport.connection_config.timeout, transport.connection_config.read_timeout) == (5, 20)


def test_a_table_that_is_gone_is_made_again_and_the_request_sent_once_more(
    storage: ScriptedServer, table: TableClient
) -> None:
    storage.script([NO_TABLE, MADE, EMPTY_LIST])
    assert list(table.query_entities("PartitionKey eq 'p'")) == []
    assert methods(storage) == ["GET", "POST", "GET"]


def test_a_row_that_is_not_there_is_no_table_that_is_gone(storage: ScriptedServer, table: TableClient) -> None:
    storage.script([NO_ROW])
    with pytest.raises(ResourceNotFoundError):
        table.get_entity("p", "r")
    assert methods(storage) == ["GET"]


def test_a_table_that_cannot_be_made_now_is_an_error_of_storage(storage: ScriptedServer, table: TableClient) -> None:
    deleting = {"status": 409, "headers": FROM_STORAGE, "body": {"odata.error": {"code": "TableBeingDeleted"}}}
    storage.script([NO_TABLE, deleting, NO_TABLE])
    with pytest.raises(ServiceResponseError, match="cannot be made now"):
        table.get_entity("p", "r")


def test_a_queue_that_is_gone_is_made_again(storage: ScriptedServer, queue: QueueClient) -> None:
    gone = {"status": 404, "headers": {**FROM_STORAGE, "x-ms-error-code": "QueueNotFound"}, "text": ""}
    message = (
        "<QueueMessagesList><QueueMessage><MessageId>1</MessageId><InsertionTime>Fri, 02 Jan 2026 03:04:05 GMT"
        "</InsertionTime><ExpirationTime>Fri, 09 Jan 2026 03:04:05 GMT</ExpirationTime><PopReceipt>x</PopReceipt>"
        "<TimeNextVisible>Fri, 02 Jan 2026 03:04:05 GMT</TimeNextVisible></QueueMessage></QueueMessagesList>"
    )
    made = {"status": 201, "headers": FROM_STORAGE, "text": ""}
    taken = {"status": 201, "headers": {**FROM_STORAGE, "Content-Type": "application/xml"}, "text": message}
    storage.script([gone, made, taken])
    queue.send_message("x")
    assert methods(storage) == ["POST", "PUT", "POST"]


def transaction(*parts: str) -> Answer:
    """Storage's answer to a transaction, in which these are the answers to operations."""
    text = "".join(
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"{part}\r\n"
        for part in parts
    )
    begin = "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
    headers = {**FROM_STORAGE, "Content-Type": "multipart/mixed; boundary=batchresponse_1"}
    return {"status": 202, "headers": headers, "text": f"{begin}{text}--changesetresponse_1--\r\n--batchresponse_1--"}


def refused(status: int, code: str, message: str = "0:no") -> str:
    error = json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}})
    return f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\n\r\n{error}\r\n"


DONE = "HTTP/1.1 204 No Content\r\nETag: W/\"datetime'1'\"\r\n\r\n"
HOSTILE = '\nHTTP/1.1 404 Not Found\n TableNotFound "code":"TableNotFound" <Code>TableNotFound</Code>'
ECHO = f"HTTP/1.1 201 Created\r\nETag: x\r\n\r\n{json.dumps({'Document0': HOSTILE})}\r\n"


def test_a_table_that_a_transaction_finds_gone_is_made_again(storage: ScriptedServer, table: TableClient) -> None:
    storage.script([transaction(refused(404, "TableNotFound")), MADE, transaction(DONE)])
    table.submit_transaction([("upsert", ROW)])
    assert methods(storage) == ["POST", "POST", "POST"]


@pytest.mark.parametrize(
    "parts",
    [
        [ECHO],
        [refused(404, "ResourceNotFound", HOSTILE)],
        [refused(409, "EntityAlreadyExists", HOSTILE)],
        [DONE, refused(404, "TableNotFound")],
    ],
    ids=["carried out", "a row that is not there", "a conflict", "an operation that was carried out"],
)
def test_no_text_in_a_transactions_answer_makes_a_table(
    storage: ScriptedServer, table: TableClient, parts: list[str]
) -> None:
    storage.script([transaction(*parts)])
    with suppress(AzureError):
        table.submit_transaction([("upsert", ROW), ("upsert", {**ROW, "RowKey": "s"})][: len(parts)])
    assert methods(storage) == ["POST"]


def test_no_text_in_an_error_makes_a_table(storage: ScriptedServer, table: TableClient) -> None:
    error = {"code": "ResourceNotFound", "message": {"lang": "en-US", "value": HOSTILE}}
    storage.script([{**NO_ROW, "body": {"odata.error": error}}])
    with pytest.raises(ResourceNotFoundError):
        table.get_entity("p", "r")
    assert methods(storage) == ["GET"]
