"""Leases of shards on real blob storage: one taker at a time, for as long as it works."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobLeaseClient, ContainerClient

from shared.storage import connection, shard_leases
from shared.storage.shard_leases import ShardLeases
from tests.support.processes import until


@pytest.fixture
def container(connection_string: str) -> Iterator[ContainerClient]:
    """One of this test's own, which is not made yet."""
    container = connection.open_container(f"test{uuid4().hex}", {"AzureWebJobsStorage": connection_string})
    yield container
    container.delete_container()


@pytest.fixture
def leases(container: ContainerClient) -> ShardLeases:
    return ShardLeases(container.get_blob_client)


def test_of_two_takers_one_gets_the_shard(leases: ShardLeases, container: ContainerClient) -> None:
    lease = leases.take("0")
    assert lease is not None
    assert ShardLeases(container.get_blob_client).take("0") is None
    lease.release()


def test_each_shard_has_a_lease_of_its_own(leases: ShardLeases) -> None:
    taken = [leases.take("0"), leases.take("1")]
    assert None not in taken
    for lease in taken:
        assert lease is not None
        lease.release()


def test_a_shard_that_is_released_can_be_taken_at_once(leases: ShardLeases) -> None:
    for _ in range(2):
        lease = leases.take("0")
        assert lease is not None
        lease.release()


def test_a_lease_ends_by_itself_unless_it_is_renewed(leases: ShardLeases, container: ContainerClient) -> None:
    lease = leases.take("0")
    assert lease is not None
    properties = container.get_blob_client("0").get_blob_properties()
    assert (properties.lease.state, properties.lease.duration) == ("leased", "fixed")
    lease.release()


def test_a_lease_that_is_broken_is_reported_and_taken_by_others(
    leases: ShardLeases,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shard_leases, "_RENEWAL_INTERVAL", 0.05)
    lease = leases.take("0")
    assert lease is not None
    BlobLeaseClient(container.get_blob_client("0")).break_lease(0)
    until(lambda: lease.lost, "the lease is lost")
    again = leases.take("0")
    assert again is not None
    again.release()
    lease.release()
    assert "shard.lease_lost" in caplog.text


def test_storage_that_cannot_be_reached_says_so() -> None:
    nowhere = "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=eA==;BlobEndpoint=http://127.0.0.1:1/x"
    container = connection.open_container("c", {"AzureWebJobsStorage": nowhere})
    with pytest.raises(AzureError):
        ShardLeases(container.get_blob_client).take("0")
