"""The shard job: "look at what is due in this shard", for whichever host is free.

The timer runs on one host. When more is due than one host should do alone, it hands the shards over by a queue.
Nothing depends on a message: what is not looked at stays due, and the next tick hands it over again. A message that
nobody takes in time is gone by the queue's own clock.
"""

import json
from dataclasses import dataclass

from azure.storage.queue import QueueClient

from shared.jobs import InvalidJob
from shared.rows import SHARDS

DUE_SHARDS = "due-shards"
"""The queue's name."""
_SECONDS_TO_LIVE = 25


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One shard to be looked at."""

    shard: str

    def to_message(self) -> str:
        """The message's text, version 1."""
        return json.dumps({"v": 1, "shard": self.shard})

    @classmethod
    def from_message(cls, text: str) -> "ShardJob":
        """Read a message.

        Raises:
            InvalidJob: no JSON, another version, or no such shard.
        """
        try:
            message = json.loads(text)
            if message["v"] != 1 or message["shard"] not in SHARDS:
                raise ValueError("another version, or no such shard")
            return cls(message["shard"])
        except (ValueError, TypeError, KeyError, RecursionError) as cause:
            raise InvalidJob(f'expected {{"v": 1, "shard"}}: {type(cause).__name__}: {cause}') from cause


class ShardQueue:
    """Shard jobs on their way to `poll_shard`."""

    def __init__(self, queue: QueueClient) -> None:
        """Use this queue, which encodes messages as `host.json` says (base64)."""
        self._queue = queue

    def send(self, job: ShardJob) -> None:
        """Hand a shard over; the message is gone soon, whether anybody took it or not."""
        self._queue.send_message(job.to_message(), time_to_live=_SECONDS_TO_LIVE)
