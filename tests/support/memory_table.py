"""Table storage in memory: as much of `TableClient` as the store uses, with a word before and after each request.

`tests/integration/test_store.py` holds it against Azurite.
"""

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import RLock
from types import SimpleNamespace
from typing import Any

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode

Row = Mapping[str, Any]
Key = tuple[str, str]
_TOKEN = re.compile(r"'[^']*'|\w+|[()]")
_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"
_PARTITION = re.compile(r"PartitionKey eq '([^']*)'")
_RANGE_BEGIN = re.compile(r"RowKey g[et] '([^']*)'")
_RANGE_END = re.compile(r"RowKey l[et] '([^']*)'")
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "eq": str.__eq__,
    "ge": str.__ge__,
    "gt": str.__gt__,
    "le": str.__le__,
    "lt": str.__lt__,
    "ne": str.__ne__,
}
_MAX_COMPARISONS = 15
"""Of one filter (Microsoft Learn, "Querying tables and entities"); Azurite lets more through."""


def nothing() -> None:
    """A boundary at which nothing happens."""


class MemoryTable:
    """Rows in a dictionary; ETags are numbers that never come back."""

    def __init__(self, boundary: Callable[[], None] = nothing) -> None:
        self._boundary = boundary
        self._lock = RLock()
        """A request is carried out as a whole, whatever other threads do."""
        self._rows: dict[Key, Row] = {}
        self._etags: dict[Key, str] = {}
        self._row_keys: dict[str, list[str]] = defaultdict(list)
        """Of each partition, sorted."""
        self._last = 0
        self.changed: Callable[[Mapping[Key, Row | None]], None] = lambda before: None
        """Hears of each committed request which rows it changed, and what they were before."""
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

    def delete_entity(self, partition: str, row: str, **condition: Any) -> None:
        self._boundary()
        with self._lock:
            before = self._rows.get((partition, row))
            if condition and before is None:
                raise failed(ResourceNotFoundError, 404)
            if condition and self._etags[partition, row] != condition["etag"]:
                raise failed(ResourceModifiedError, 412)
            if before is not None:
                self._put((partition, row), None, "")
                self.changed({(partition, row): before})
        self._boundary()

    def submit_transaction(self, operations: Iterable[tuple[Any, ...]], **_: object) -> list[dict[str, str]]:
        self._boundary()
        wanted = list(operations)
        keys = [(entity["PartitionKey"], entity["RowKey"]) for _, entity, *_ in wanted]
        if wanted[0][1]["PartitionKey"] in self.unwritable:
            raise failed(HttpResponseError, 503)
        with self._lock:
            answers = self._commit(wanted, keys)
        self._boundary()
        return answers

    def _commit(self, wanted: Sequence[tuple[Any, ...]], keys: Sequence[Key]) -> list[dict[str, str]]:
        before = {key: (self._rows.get(key), self._etags.get(key, "")) for key in keys}
        try:
            answers = [self._change(kind, entity, *options) for kind, entity, *options in wanted]
        except HttpResponseError as failure:
            for key, (row, etag) in before.items():
                self._put(key, row, etag)
            error = TableTransactionError(message=str(failure))
            error.status_code = failure.status_code
            raise error from failure
        self.changed({key: row for key, (row, _) in before.items()})
        return answers

    def get_entity(self, partition: str, row: str) -> TableEntity:
        self._boundary()
        with self._lock:
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
        with self._lock:
            keys = self._keys_in_range(query)
        for key in keys:
            with self._lock:
                found = self._entity(key, select) if key in self._rows and matches(self._rows[key]) else None
            if found is not None:
                yield found

    def row(self, partition: str, row: str) -> Row | None:
        """A row as it is, read by nobody."""
        return self._rows.get((partition, row))

    def first_key(self, partition: str, begin: str) -> str | None:
        """The first row key of a partition from there on, read by nobody."""
        keys = self._row_keys[partition]
        position = bisect_left(keys, begin)
        return keys[position] if position < len(keys) else None

    def __len__(self) -> int:
        return len(self._rows)

    def _keys_in_range(self, query: str) -> list[Key]:
        """The rows in the query's partition and range of row keys, in order."""
        range_of, _, _ = query.partition("(")
        partition, begin, end = (each.search(range_of) for each in (_PARTITION, _RANGE_BEGIN, _RANGE_END))
        if partition is None or " or " in range_of:
            return sorted(self._rows)
        keys = self._row_keys[partition[1]]
        first = bisect_left(keys, begin[1]) if begin else 0
        last = bisect_left(keys, f"{end[1]}\0") if end else len(keys)
        return [(partition[1], key) for key in keys[first:last]]

    def _carry_out(self, kind: str, entity: Row, options: Mapping[str, Any] | None = None) -> dict[str, str]:
        self._boundary()
        key = (entity["PartitionKey"], entity["RowKey"])
        with self._lock:
            before = self._rows.get(key)
            answer = self._change(kind, entity, options)
            self.changed({key: before})
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
            self._put(key, None, "")
            return {}
        kept = self._rows[key] if options.get("mode") is UpdateMode.MERGE else {}
        self._last += 1
        self._put(key, {**kept, **entity}, str(self._last))
        return {"etag": self._etags[key]}

    def _put(self, key: Key, row: Row | None, etag: str) -> None:
        """Let a row be this one, or be none."""
        partition, row_key = key
        keys = self._row_keys[partition]
        if row is None:
            if self._rows.pop(key, None) is not None:
                del keys[bisect_left(keys, row_key)]
            return
        if key not in self._rows:
            insort(keys, row_key)
        self._rows[key], self._etags[key] = dict(row), etag

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


def damage(table: MemoryTable, partition: str, row: str, **columns: Any) -> None:
    """Have a row stand there as nobody has written it."""
    table._put(
        (partition, row),
        {**(table.row(partition, row) or {}), "PartitionKey": partition, "RowKey": row, **columns},
        "damaged",
    )


def repeat_next_transaction(table: MemoryTable, is_answered: bool = True) -> None:
    """Have the next transaction be carried out, and then answered by a server error, or not at all.

    The SDK repeats it after a 500, 503 or 504, but after no answer only if it is told to repeat a POST, or the change
    is a PUT (azure-core, `RetryPolicy`); else the error is raised.
    """
    once = table.submit_transaction

    def repeated(operations: Iterable[tuple[Any, ...]], **options: Any) -> list[dict[str, str]]:
        del table.submit_transaction  # the instance's own, which hides the class's
        return _answer_lost(once, list(operations), is_repeated=is_answered or _repeats_posts(options), **options)

    table.submit_transaction = repeated  # type: ignore[method-assign] # once


def repeat_steps(table: MemoryTable, is_answered: bool = True, begin: str = "r:") -> None:
    """Have this happen to every replacement of a remediation's row, or of others whose keys begin so."""
    transact, update = table.submit_transaction, table.update_entity

    def transact_twice(operations: Iterable[tuple[Any, ...]], **options: Any) -> list[dict[str, str]]:
        operations = list(operations)
        kind, row, *_ = operations[0]
        if kind != "update" or not row["RowKey"].startswith(begin):
            return transact(operations, **options)
        return _answer_lost(transact, operations, is_repeated=is_answered or _repeats_posts(options), **options)

    def update_twice(entity: Row, *mode: Any, **options: Any) -> dict[str, str]:
        if not entity["RowKey"].startswith(begin):
            return update(entity, *mode, **options)
        return _answer_lost(update, entity, *mode, is_repeated=True, **options)

    table.submit_transaction, table.update_entity = transact_twice, update_twice  # type: ignore[method-assign] # its own


def repeat_next_write(table: MemoryTable, is_answered: bool = True, meanwhile: Callable[[], None] = nothing) -> None:
    """Have it happen to the next row that is created or updated by itself; `meanwhile` is called before the repeat."""
    create, update = table.create_entity, table.update_entity

    def twice(once: Callable[..., dict[str, str]], is_put: bool) -> Callable[..., dict[str, str]]:
        def repeated(*arguments: Any, **options: Any) -> dict[str, str]:
            del table.create_entity, table.update_entity  # the instance's own, which hide the class's
            is_repeated = is_answered or is_put or _repeats_posts(options)
            return _answer_lost(once, *arguments, is_repeated=is_repeated, meanwhile=meanwhile, **options)

        return repeated

    table.create_entity, table.update_entity = twice(create, False), twice(update, True)  # type: ignore[method-assign] # once


def _repeats_posts(options: Mapping[str, Any]) -> bool:
    return "POST" in options.get("retry_on_methods", ())


def _answer_lost(
    once: Callable[..., Any],
    *arguments: Any,
    is_repeated: bool,
    meanwhile: Callable[[], None] = nothing,
    **options: Any,
) -> Any:
    once(*arguments, **options)
    meanwhile()
    if not is_repeated:
        raise ServiceResponseError("no answer")
    return once(*arguments, **options)


def failed(kind: type[Exception], status: int) -> Any:
    error: Any = kind(f"status {status}")
    error.status_code = status
    return error


def condition(query: str) -> Callable[[Row], bool]:
    """The predicate of an OData filter: `eq`, `ge`, `gt`, `le`, `lt`, `ne` on texts, `and`, `or` and parentheses."""
    tokens = _TOKEN.findall(query)
    assert sum(token in _COMPARE for token in tokens) <= _MAX_COMPARISONS, query
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
