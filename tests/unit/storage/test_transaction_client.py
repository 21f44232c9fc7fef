"""Transactions as this client writes and reads them, beside the SDK's own way."""

import email
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableTransactionError, UpdateMode
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.storage.transaction_client import TransactionClient
from tests.support.scripted_server import Answer, ScriptedServer, scripted_server

KEY = b64encode(b"a key").decode()
HEADERS = {
    "x-ms-request-id": "0b1c2d3e-0000-4000-8000-000000000001",
    "Content-Type": "multipart/mixed; boundary=batchresponse_1",
}
ROW = {"PartitionKey": "p", "RowKey": "r", "Text": "a"}
Operations = list[tuple[Any, ...]]


class _Recording(RequestsTransport):  # type: ignore[misc] # azure-core exports it lazily: Any to mypy
    """Sends nothing."""

    def send(self, request: Any, **options: Any) -> Any:
        self.request = request
        raise ServiceRequestError("not sent")


def operations_sent(client: type[TableClient], operations: Operations) -> list[tuple[str, dict[str, str], str]]:
    """Request line, headers and body of each operation in the transaction that this client sends."""
    transport = _Recording()
    ends = f"DefaultEndpointsProtocol=https;AccountName=account;AccountKey={KEY};EndpointSuffix=core.windows.net"
    with (
        client.from_connection_string(ends, "t", transport=transport, retry_total=0) as table,
        pytest.raises(ServiceRequestError),
    ):
        table.submit_transaction(operations)
    request = transport.request
    kind = request.headers["Content-Type"].encode()
    message = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + request.body)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    return [_operation(str(part.get_payload())) for part in leaves]


def _operation(text: str) -> tuple[str, dict[str, str], str]:
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    line, *headers = head.split("\n")
    named = dict(header.split(": ", 1) for header in headers)
    return line, {name: value for name, value in named.items() if "date" not in name.lower()}, body.strip()


def rows(text: str, etag: str = '"x"') -> Operations:
    only_if = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    row = {**ROW, "Text": text}
    return [
        ("create", row),
        ("update", row, {**only_if, "mode": UpdateMode.REPLACE}),
        ("update", row, {"mode": UpdateMode.MERGE}),
        ("upsert", row),
        ("delete", row, only_if),
        ("delete", {**row, "RowKey": "d:'%/ü"}),
    ]


@settings(max_examples=30)
@given(st.text(), st.from_regex(r"\AW/\"[!-~ ]{0,30}\"\Z"))
def test_it_sends_what_the_sdk_would_send(text: str, etag: str) -> None:
    operations = rows(text, etag)
    ours, theirs = operations_sent(TransactionClient, operations), operations_sent(TableClient, operations)
    assert [(line, body) for line, _, body in ours] == [(line, body) for line, _, body in theirs]
    assert [headers for _, headers, _ in ours] == [headers for _, headers, _ in theirs]


@pytest.fixture
def storage() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def table(storage: ScriptedServer) -> Iterator[TableClient]:
    endpoint = f"TableEndpoint=http://127.0.0.1:{storage.port}/account"
    connection = f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey={KEY};{endpoint}"
    with TransactionClient.from_connection_string(connection, "t", retry_total=0) as client:
        yield client


def answer(*parts: str) -> Answer:
    """Storage's to a transaction, in which these are the answers to the operations."""
    written = "".join(
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"{part}\r\n"
        for part in parts
    )
    begin = "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
    text = f"{begin}{written}--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    return {"status": 202, "headers": HEADERS, "text": text}


DONE = "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nETag: W/\"datetime'1'\"\r\n\r\n"
DELETED = "HTTP/1.1 204 No Content\r\nDataServiceVersion: 1.0;\r\n\r\n"


def test_each_operation_has_the_etag_of_its_row(storage: ScriptedServer, table: TableClient) -> None:
    storage.script([answer(DONE, DELETED, DONE.replace("1'", "2'"))])
    done = table.submit_transaction([("upsert", ROW), ("delete", {**ROW, "RowKey": "s"}), ("upsert", ROW)])
    assert done == [{"etag": "W/\"datetime'1'\""}, {}, {"etag": "W/\"datetime'2'\""}]


@pytest.mark.parametrize("status", [400, 404, 409, 412])
def test_a_refusal_is_the_sdks_exception(storage: ScriptedServer, table: TableClient, status: int) -> None:
    error = '{"odata.error":{"code":"UpdateConditionNotSatisfied","message":{"lang":"en-US","value":"1:no"}}}'
    storage.script(
        [answer(f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json;charset=utf-8\r\n\r\n{error}\r\n")]
    )
    with pytest.raises(TableTransactionError) as refused:
        table.submit_transaction([("upsert", ROW), ("upsert", {**ROW, "RowKey": "s"})])
    assert refused.value.status_code == status


def test_an_answer_with_other_parts_than_the_transaction_is_read_by_the_sdk(
    storage: ScriptedServer, table: TableClient
) -> None:
    storage.script([answer(DONE)])
    assert len(table.submit_transaction([("upsert", ROW), ("upsert", {**ROW, "RowKey": "s"})])) == 1


def test_other_requests_are_the_sdks_own(storage: ScriptedServer, table: TableClient) -> None:
    storage.script([{"status": 200, "headers": {"x-ms-request-id": "1"}, "body": {"value": []}}])
    assert list(table.list_entities()) == []
