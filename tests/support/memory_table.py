"""Table storage in memory: as much of `TableClient` as the store uses, with a word before and after each request.

`tests/integration/test_store.py` holds it against Azurite.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode

Row = Mapping[str, Any]
Key = tuple[str, str]
_TOKEN = re.compile(r"'[^']*'|\w+|[()]")
_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "eq": str.__eq__,
    "ge": str.__ge__,
    "gt": str.__gt__,
    "le": str.__le__,
    "lt": str.__lt__,
}


def nothing() -> None:
    """A boundary at which nothing happens."""


class MemoryTable:
    """Rows in a dictionary; ETags are numbers that never come back."""

    def __init__(self, boundary: Callable[[], None] = nothing) -> None:
        self._boundary = boundary
        self._rows: dict[Key, dict[str, Any]] = {}
        self._etags: dict[Key, str] = {}
        self._last = 0
        self.unreadable: set[str] = set()
        """Partitions whose server refuses to read."""
        self.unwritable: set[str] = set()
        """Partitions whose server refuses transactions."""
        self.refused_rows: set[str] = set()
        """Keys of rows whose replacement is too large for storage, alone or in a transaction."""

    def create_entity(self, entity: Row, **_: object) -> dict[str, str]:
        return self._carry_out("create", entity)

    def upsert_entity(self, entity: Row) -> dict[str, str]:
        return self._carry_out("upsert", entity)

    def update_entity(self, entity: Row, mode: UpdateMode = UpdateMode.MERGE, **condition: Any) -> dict[str, str]:
        return self._carry_out("update", entity, {"mode": mode, **condition})

    def delete_entity(self, partition: str, row: str) -> None:
        self._boundary()
        self._rows.pop((partition, row), None)
        self._boundary()

    def submit_transaction(self, operations: Iterable[tuple[Any, ...]]) -> list[dict[str, str]]:
        self._boundary()
        rows, etags = dict(self._rows), dict(self._etags)
        wanted = list(operations)
        if wanted[0][1]["PartitionKey"] in self.unwritable:
            raise failed(HttpResponseError, 503)
        try:
            answers = [self._change(kind, entity, *options) for kind, entity, *options in wanted]
        except HttpResponseError as failure:
            self._rows, self._etags = rows, etags
            error = TableTransactionError(message=str(failure))
            error.status_code = failure.status_code
            raise error from failure
        self._boundary()
        return answers

    def get_entity(self, partition: str, row: str) -> TableEntity:
        self._boundary()
        if (partition, row) not in self._rows:
            raise failed(ResourceNotFoundError, 404)
        return self._entity((partition, row))

    def query_entities(
        self,
        query: str,
        select: Sequence[str] | None = None,
        results_per_page: int | None = None,
        raw_response_hook: Callable[[Any], None] = lambda answer: None,
    ) -> "_Found":
        return _Found(self._query(query, select, raw_response_hook))

    def _query(
        self, query: str, select: Sequence[str] | None, raw_response_hook: Callable[[Any], None]
    ) -> Iterator[TableEntity]:
        self._boundary()
        raw_response_hook(SimpleNamespace(http_response=SimpleNamespace(headers={"Date": _DATE})))
        if any(f"PartitionKey eq '{partition}'" in query for partition in self.unreadable):
            raise failed(HttpResponseError, 503)
        matches = condition(query)
        for key in [key for key, row in sorted(self._rows.items()) if matches(row)]:
            yield self._entity(key, select)

    def _carry_out(self, kind: str, entity: Row, options: Mapping[str, Any] | None = None) -> dict[str, str]:
        self._boundary()
        answer = self._change(kind, entity, options)
        self._boundary()
        return answer

    def _change(self, kind: str, entity: Row, options: Mapping[str, Any] | None = None) -> dict[str, str]:
        key, options = (entity["PartitionKey"], entity["RowKey"]), options or {}
        if kind == "create" and key in self._rows:
            raise failed(ResourceExistsError, 409)
        if entity["RowKey"] in self.refused_rows and options.get("mode") is UpdateMode.REPLACE:
            raise failed(HttpResponseError, 400)
        if kind in ("update", "delete") and key not in self._rows:
            raise failed(ResourceNotFoundError, 404)
        if options.get("etag", self._etags.get(key)) != self._etags.get(key):
            raise failed(ResourceModifiedError, 412)
        if kind == "delete":
            del self._rows[key]
            return {}
        kept = self._rows[key] if options.get("mode") is UpdateMode.MERGE else {}
        self._rows[key] = {**kept, **entity}
        self._last += 1
        self._etags[key] = str(self._last)
        return {"etag": self._etags[key]}

    def _entity(self, key: Key, select: Sequence[str] | None = None) -> TableEntity:
        row = self._rows[key]
        entity = TableEntity({name: value for name, value in row.items() if select is None or name in select})
        entity._metadata = {"etag": self._etags[key], "timestamp": None}
        return entity


class _Found:
    """Rows one by one, or all of them as one page."""

    def __init__(self, rows: Iterator[TableEntity]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[TableEntity]:
        return self._rows

    def by_page(self) -> Iterator[list[TableEntity]]:
        yield list(self._rows)


def failed(kind: type[Exception], status: int) -> Any:
    error: Any = kind(f"status {status}")
    error.status_code = status
    return error


def condition(query: str) -> Callable[[Row], bool]:
    """The predicate of an OData filter: `eq`, `ge`, `gt`, `le`, `lt` on texts, `and`, `or` and parentheses."""
    tokens = _TOKEN.findall(query)
    matches = _either(tokens)
    assert not tokens, query
    return matches


def _either(tokens: list[str]) -> Callable[[Row], bool]:
    alternatives = [_both(tokens)]
    while tokens[:1] == ["or"]:
        tokens.pop(0)
        alternatives.append(_both(tokens))
    return lambda row: any(matches(row) for matches in alternatives)


def _both(tokens: list[str]) -> Callable[[Row], bool]:
    conditions = [_comparison(tokens)]
    while tokens[:1] == ["and"]:
        tokens.pop(0)
        conditions.append(_comparison(tokens))
    return lambda row: all(matches(row) for matches in conditions)


def _comparison(tokens: list[str]) -> Callable[[Row], bool]:
    name = tokens.pop(0)
    if name == "(":
        inner = _either(tokens)
        assert tokens.pop(0) == ")"
        return inner
    compare, literal = _COMPARE[tokens.pop(0)], tokens.pop(0)[1:-1]
    return lambda row: name in row and compare(row[name], literal)
