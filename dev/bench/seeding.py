"""Thousands of remediations in flight: rows copied from a few real ones, in the layout of `shared/storage`.

A copy has an id and an instance of its own, in the shard in which the app would keep it, and follows the
operation of the one it was copied from.
"""

import json
import secrets
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from azure.data.tables import TableClient

from dev.bench.workload import LogTail, deliver, instance_ids, put_failing, wait_until
from dev.processes.errors import Failure
from dev.stack.stack import Stack

_TABLE = "remediations"
_TEMPLATES = 96
"""Real remediations to copy from: so many that all shards are among them."""
_MAX_TRANSACTION = 100
"""Rows; Azure Tables' own limit."""
_CONCURRENCY = 4
_HOUR = 3600

Row = dict[str, Any]
"""Of the table."""


class Seeding:
    """The table of a stack, and real remediations in it."""

    def __init__(self, stack: Stack) -> None:
        """Have the app open some remediations whose operations take hours, then take them out of the table."""
        self._table = TableClient.from_connection_string(stack.azurite.connection_string, _TABLE)
        ids = instance_ids(str(uuid.uuid4()), _TEMPLATES)
        put_failing(stack.simulator, ids, operationSeconds=100 * _HOUR, retryAfter=_HOUR)
        log = LogTail(stack.host.service.log)
        deliver(stack.host, ids)
        wait_until(stack, lambda: log.count('"to": "Running"') >= _TEMPLATES, "called sync for all", 60)
        # A poll run moves the due entries from the time of the opening to that of the next poll.
        before = len(log.poll_runs())
        wait_until(stack, lambda: len(log.poll_runs()) >= before + 3, "polled", 60)
        rows = [dict(row) for row in self._table.list_entities()]
        self._templates = _by_digit(rows)
        self._digits = list(self._templates)
        self._remove(row for row in rows if ":" in row["RowKey"])

    def add(self, count: int, due_at: datetime) -> None:
        """Add so many remediations, all due at that time."""
        by_shard: dict[str, list[Row]] = {}
        for number in range(count):
            for row in self._copy(number, due_at):
                by_shard.setdefault(row["PartitionKey"], []).append(row)
        transactions = [
            rows[start : start + _MAX_TRANSACTION]
            for rows in by_shard.values()
            for start in range(0, len(rows), _MAX_TRANSACTION)
        ]
        with ThreadPoolExecutor(_CONCURRENCY) as pool:
            list(pool.map(self._create, transactions))

    def _create(self, rows: Sequence[Row]) -> None:
        self._table.submit_transaction([("create", row) for row in rows])

    def _remove(self, rows: Iterator[Row]) -> None:
        for row in rows:
            self._table.delete_entity(row["PartitionKey"], row["RowKey"])

    def _copy(self, number: int, due_at: datetime) -> Iterator[Row]:
        digit = secrets.choice(self._digits)
        key, template = digit + secrets.token_hex(8)[1:], self._templates[digit]
        document = json.loads(template["Document0"])
        new_id = f"{document['id'].partition('-')[0]}-{key}"
        instance = f"{document['backupInstanceId']}-copy-{number:05d}"
        document |= {"id": new_id, "backupInstanceId": instance, "dueAt": due_at.isoformat()}
        millis = f"{int(due_at.timestamp() * 1000):013d}"
        shard = template["PartitionKey"]
        text = json.dumps(document, separators=(",", ":"))
        yield {"PartitionKey": shard, "RowKey": f"r:{new_id}", "EntryAt": millis, "Document0": text}
        yield {"PartitionKey": shard, "RowKey": f"d:{millis}:{new_id}"}


def _by_digit(rows: Sequence[Mapping[str, Any]]) -> dict[str, Row]:
    """A remediation's row for each first digit of an instance's key: the digit decides on the shard."""
    found = {row["RowKey"].rpartition("-")[2][0]: dict(row) for row in rows if row["RowKey"].startswith("r:")}
    if not found or any("Document1" in row for row in found.values()):
        raise Failure("The app's table has other rows than shared/storage says; dev/bench/seeding.py must follow it.")
    return found
