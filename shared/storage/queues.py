"""The sync job: "submit attempt n of remediation r", as a queue message and as a queue."""

import json
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from azure.storage.queue import QueueClient

from shared.domain.remediation import is_remediation_id
from shared.storage.table_rows import SHARDS

SYNC_JOBS = "sync-jobs"
POISON_JOBS = "sync-jobs-poison"
"""Where the host puts what it gives up on."""


class InvalidJob(ValueError):
    """A queue message that is no sync job; the message says why."""


@dataclass(frozen=True, slots=True)
class SyncJob:
    """One attempt to be submitted."""

    remediation_id: str
    attempt: int

    def to_message(self) -> str:
        """The message's text, version 1."""
        return json.dumps({"v": 1, "remediationId": self.remediation_id, "attempt": self.attempt})

    @classmethod
    def from_message(cls, text: str) -> "SyncJob":
        """Read a message.

        Raises:
            InvalidJob: no JSON, another version, or a field missing or of the wrong type.
        """
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as cause:
            raise InvalidJob(f"not JSON: {cause}") from cause
        if not isinstance(message, dict) or message.get("v") != 1:
            raise InvalidJob('expected {"v": 1, "remediationId", "attempt"}')
        attempt = message.get("attempt")
        if not is_remediation_id(message.get("remediationId")):
            raise InvalidJob("remediationId is missing or malformed")
        if type(attempt) is not int or attempt < 1:
            raise InvalidJob("attempt is not a positive whole number")
        return cls(message["remediationId"], attempt)


class SyncJobQueue:
    """Sync jobs on their way to `submit_sync`."""

    def __init__(self, queue: QueueClient) -> None:
        """Use this queue, which encodes messages as `host.json` says (base64)."""
        self._queue = queue

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        """Enqueue a job that becomes visible after the delay (at most 7 days, Queue Storage's limit)."""
        seconds = min(ceil(delay.total_seconds()), 7 * 24 * 3600 - 1)
        # Never expires: a job may wait longer than the default of 7 days while the app is stopped.
        self._queue.send_message(job.to_message(), visibility_timeout=seconds, time_to_live=-1)

    def depth(self) -> int:
        """About how many jobs are waiting, delayed ones included."""
        return self._queue.get_queue_properties().approximate_message_count or 0


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
