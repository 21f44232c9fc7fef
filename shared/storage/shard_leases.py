"""Leases of shards: which host works on a shard now, when several share what is due.

A lease is one on a blob ("Lease Blob", REST reference), as the Functions host's own singletons use them: storage gives
it to one taker, and ends it by itself when the taker dies. It saves work that would be done twice, nothing more; what
is stored counts by compare-and-swap.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING
from uuid import uuid4

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared import logs

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobLeaseClient

CONTAINER_NAME = "shard-leases"
_LEASE_SECONDS = 30
"""So long a shard waits after its host died; a lease may last 15 to 60."""
_RENEWAL_INTERVAL = 10.0
"""Seconds."""
_HELD = 409


class ShardLease:
    """A lease that is renewed until it is released, or another host has it."""

    def __init__(self, shard: str, lease: "BlobLeaseClient") -> None:
        """Renew it from now on, in a thread of its own: the run is busy with what it holds the lease for."""
        self._shard = shard
        self._lease = lease
        self._is_over = Event()
        self.lost: str | None = None
        """Why it could not be renewed; None as long as it could."""
        Thread(target=self._renew, name=f"lease of shard {shard}", daemon=True).start()

    def release(self) -> None:
        """Let others have it; if that fails, it ends by itself."""
        self._is_over.set()
        if self.lost is not None:
            logs.warning("shard.lease_lost", shard=self._shard, reason=self.lost)
        with suppress(AzureError):
            self._lease.release()

    def _renew(self) -> None:
        while not self._is_over.wait(_RENEWAL_INTERVAL):
            try:
                self._lease.renew()
            except AzureError as failure:
                self.lost = logs.describe_exception(failure)  # logged by the thread that has an invocation
                return


class ShardLeases:
    """Gives leases, of one blob for each shard."""

    def __init__(self, blob: Callable[[str], "BlobClient"]) -> None:
        """`blob` opens the one of this name; it need not exist."""
        self._blob = blob

    def take(self, shard: str) -> ShardLease | None:
        """Take the shard's lease; None if another host has it, or another run of this one.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        blob = self._blob(shard)
        try:
            lease = _acquire(blob)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                blob.upload_blob(b"", overwrite=False)
            lease = _acquire(blob)
        return ShardLease(shard, lease) if lease else None


def _acquire(blob: "BlobClient") -> "BlobLeaseClient | None":
    """The lease; None if somebody has it."""
    try:
        # With an id of our own a request that is repeated, because its answer was lost, gets the same lease.
        return blob.acquire_lease(_LEASE_SECONDS, lease_id=str(uuid4()))
    except HttpResponseError as refusal:
        if refusal.status_code == _HELD:
            return None
        raise
