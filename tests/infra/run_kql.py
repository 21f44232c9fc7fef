"""Runs a query over rows of AppTraces in DuckDB. Usage: python run_kql.py QUERY, with lists of messages on stdin.

Reads a JSON array of logs, each an array of messages, the oldest first; prints an array with the rows of each log.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb_kql  # type: ignore[import-not-found] # in a folder of its own, see dev/setup/checkers.py

_BEGAN = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)


def rows(query: str, messages: list[str]) -> list[dict[str, Any]]:
    """The result; a message is written each millisecond of the last hour."""
    connection = duckdb_kql.connect()
    connection.execute("CREATE TABLE AppTraces (TimeGenerated TIMESTAMP, Message VARCHAR)")
    times = [_BEGAN + timedelta(milliseconds=number) for number in range(len(messages))]
    connection.executemany("INSERT INTO AppTraces VALUES (?, ?)", [*zip(times, messages, strict=True)])
    found = duckdb_kql.query(connection, query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


text = Path(sys.argv[1]).read_text(encoding="utf-8")
print(json.dumps([rows(text, messages) for messages in json.load(sys.stdin)], default=str))
