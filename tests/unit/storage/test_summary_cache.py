"""Summaries from a table whose answers do not say when they were written, as those of a gateway may not."""

from collections.abc import Iterator

import pytest
from azure.core.exceptions import AzureError

from shared.storage.connection import open_table
from shared.storage.remediation_store import RemediationStore
from shared.storage.summary_cache import SummaryCache
from tests.support.remediations import NOW
from tests.support.scripted_server import Answer, ScriptedServer, scripted_server
from tests.unit.storage.test_storage_transport import EMPTY_LIST, KEY

FORBIDDEN: Answer = {"status": 403, "headers": EMPTY_LIST["headers"], "body": {"odata.error": {"code": "Forbidden"}}}


@pytest.fixture
def storage() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def cache(storage: ScriptedServer) -> SummaryCache:
    account = f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey={KEY}"
    table = open_table("t", {"AzureWebJobsStorage": f"{account};TableEndpoint=http://127.0.0.1:{storage.port}/account"})
    return SummaryCache(table, RemediationStore(table))


def test_a_refusal_without_a_date_is_a_refusal(storage: ScriptedServer, cache: SummaryCache) -> None:
    storage.script([FORBIDDEN])
    with pytest.raises(AzureError, match="Forbidden"):
        cache.since(NOW)


def test_without_a_date_all_is_read_again(storage: ScriptedServer, cache: SummaryCache) -> None:
    storage.script([EMPTY_LIST])
    for _ in range(2):
        assert list(cache.since(NOW)) == []
    assert not any("Timestamp" in target for _, target, _ in storage.requests)
