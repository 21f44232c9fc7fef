"""The shards that storage refused in one poll run: each is left to itself, and the others go on."""

from collections.abc import Collection

from azure.core.exceptions import AzureError

from shared import logs


class ShardFailures:
    """Which shards have failed in this run, and what storage said of each at last."""

    def __init__(self) -> None:
        """Begin without failures."""
        self._by_shard: dict[str, AzureError] = {}

    def __contains__(self, shard: str) -> bool:
        """Whether this shard has failed: what is left of it is left to the next run."""
        return shard in self._by_shard

    def add(self, event: str, shard: str, failure: AzureError) -> None:
        """Log by this name that a shard has failed, and remember it."""
        logs.error(event, shard=shard, reason=logs.describe_exception(failure))
        self._by_shard[shard] = failure

    def raise_if_all(self, shards: Collection[str]) -> None:
        """Fail as storage did if none of these shards has worked; one that has says that the run was worth it."""
        if shards and all(shard in self for shard in shards):
            raise next(iter(self._by_shard.values()))
