"""The queues of the app, and the messages in them.

A sync job says: submit attempt n of remediation r. A shard job says: poll what is due in this shard, whichever host
is free. The timer runs on one host; when more is due than one host should do alone, a message for each shard makes the
platform wake others. Nothing depends on a message of either kind: what is not done stays due.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from azure.storage.queue import QueueClient

from shared.domain.remediation import is_remediation_id
from shared.storage.table_rows import SHARDS

SYNC_JOBS = "sync-jobs"
POISON_JOBS = "sync-jobs-poison"
"""Where the host puts what it gives up on."""
DUE_SHARDS = "due-shards"
_VERSION = 1
_MAX_DELAY_SECONDS = 7 * 24 * 3600 - 1
"""Below 7 days, Queue Storage's limit."""
_MAX_PEEKED = 32
"""Queue Storage shows no more at once (REST reference, "Peek Messages")."""
_SHARD_JOB_TIME_TO_LIVE = 25
"""Seconds: a message that nobody takes in time is gone, and the next poll run sends another if there is need."""


class InvalidJob(ValueError):
    """A queue message that is no job; the message says why."""


@dataclass(frozen=True, slots=True)
class SyncJob:
    """One attempt to be submitted."""

    remediation_id: str
    attempt: int
    is_repeat: bool = False
    """Put back after the queue had delivered it more than once: its sync call may have been made already."""

    def to_message(self) -> str:
        """The message's text, version 1."""
        message = {"v": _VERSION, "remediationId": self.remediation_id, "attempt": self.attempt}
        return json.dumps(message | ({"isRepeat": True} if self.is_repeat else {}))

    @classmethod
    def from_message(cls, text: str) -> "SyncJob":
        """Read a message.

        Raises:
            InvalidJob: no JSON, another version, or a field missing or of the wrong type.
        """
        message = _read(text, '{"v": 1, "remediationId", "attempt"}')
        attempt = message.get("attempt")
        if not is_remediation_id(message.get("remediationId")):
            raise InvalidJob("remediationId is missing or malformed")
        if type(attempt) is not int or attempt < 1:
            raise InvalidJob("attempt is not a positive whole number")
        return cls(message["remediationId"], attempt, message.get("isRepeat") is True)


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One shard to be polled."""

    shard: str

    def to_message(self) -> str:
        """The message's text, version 1."""
        return json.dumps({"v": _VERSION, "shard": self.shard})

    @classmethod
    def from_message(cls, text: str) -> "ShardJob":
        """Read a message.

        Raises:
            InvalidJob: no JSON, another version, or no such shard.
        """
        shard = _read(text, '{"v": 1, "shard"}').get("shard")
        if shard not in SHARDS:
            raise InvalidJob("there is no such shard")
        return cls(shard)


class SyncJobQueue:
    """Sync jobs on their way to `submit_sync`."""

    def __init__(self, queue: QueueClient) -> None:
        """Use this queue, which encodes messages as `host.json` says (base64)."""
        self._queue = queue

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        """Enqueue a job that becomes visible after the delay, at most after 7 days."""
        seconds = min(ceil(delay.total_seconds()), _MAX_DELAY_SECONDS)
        # Never expires: a job may wait longer than the default of 7 days while the app is stopped.
        self._queue.send_message(job.to_message(), visibility_timeout=seconds, time_to_live=-1)

    def oldest(self) -> datetime | None:
        """When the oldest of the first visible jobs was put into the queue; None if none is visible."""
        seen = [message.inserted_on for message in self._queue.peek_messages(_MAX_PEEKED)]
        return min((inserted_on for inserted_on in seen if inserted_on), default=None)

    def depth(self) -> int:
        """About how many jobs are waiting, delayed ones included."""
        return self._queue.get_queue_properties().approximate_message_count or 0


class ShardQueue:
    """Shard jobs on their way to `poll_shard`."""

    def __init__(self, queue: QueueClient) -> None:
        """Use this queue, which encodes messages as `host.json` says (base64)."""
        self._queue = queue

    def send(self, job: ShardJob) -> None:
        """Wake a host for a shard; the message is gone soon, whether anybody took it or not."""
        self._queue.send_message(job.to_message(), time_to_live=_SHARD_JOB_TIME_TO_LIVE)


def _read(text: str, expected: str) -> Mapping[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise InvalidJob(f"not JSON: {cause}") from cause
    if not isinstance(message, dict) or message.get("v") != _VERSION:
        raise InvalidJob(f"expected {expected}")
    return message
