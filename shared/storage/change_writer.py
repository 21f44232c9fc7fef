"""Writes changes of remediations: several rows of one at once, and large transactions of many.

Table service, "Performing entity group transactions": 100 operations on rows of one partition, all of them or none.

Rows have a random name of their last write (`own_writes`). What has none is not repeated without an answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.data.tables import RequestTooLargeError, TableClient, UpdateMode

from shared.domain import document_limits
from shared.logs import describe_exception
from shared.storage.conflicts import WriteConflict
from shared.storage.own_writes import REPEAT_UNANSWERED, new_write, own_row
from shared.storage.table_rows import (
    Change,
    Saved,
    Stored,
    Unsaved,
    entry_row,
    etag_of,
    only_if,
    remediation_row,
    shard_of,
)

MAX_CHANGES_PER_TRANSACTION = 33
"""Each change is up to three of the 100 operations of a transaction."""
_REFUSED = frozenset({400, 413})
"""A row or a transaction that storage will not take (Table service error codes): too large, or with a bad value."""
_CONFLICTS = frozenset({404, 409, 412})
"""Not there, there already, changed meanwhile: another writer changed the row first."""

Operation = tuple[str, Mapping[str, Any], dict[str, Any]]
"""As `TableClient.submit_transaction` takes it."""


class ChangeWriter:
    """Writes rows of remediations. Raises `azure.core.exceptions.AzureError` where storage cannot be reached."""

    def __init__(self, table: TableClient) -> None:
        """Write to this table."""
        self._table = table

    def commit(self, operations: Sequence[Operation]) -> str:
        """Carry out these operations on rows of one remediation: all of them, or none.

        Returns:
            The new ETag of the first one's row.

        Raises:
            WriteConflict: somebody else changed one of the rows.
        """
        try:
            if len(operations) > 1:
                options = REPEAT_UNANSWERED if "Write" in operations[0][1] else {}
                return str(self._table.submit_transaction(operations, **options)[0]["etag"])
            # Half the price of a transaction of one.
            [(_, row, condition)] = operations
            return str(self._table.update_entity(row, **condition)["etag"])
        except HttpResponseError as failure:
            if failure.status_code not in _CONFLICTS:
                raise
            if own := own_row(self._table, operations[0][1]):
                return etag_of(own)
            raise WriteConflict(str(failure)) from failure

    def save_all(self, changes: Iterable[Change]) -> Iterator[Saved | Unsaved]:
        """Store changes in large transactions, each with its due entry moved.

        Yields:
            Each as soon as it is stored, or refused for good, which is its own matter; a change that is left out was
            made by another writer first.
        """
        by_shard: dict[str, list[Change]] = {}
        for change in changes:
            by_shard.setdefault(shard_of(change.after.id), []).append(change)
        for of_shard in by_shard.values():
            for start in range(0, len(of_shard), MAX_CHANGES_PER_TRANSACTION):
                yield from self._save_together(of_shard[start : start + MAX_CHANGES_PER_TRANSACTION], new_write())

    def _save_together(self, changes: Sequence[Change], write: str, is_half: bool = False) -> Iterator[Saved | Unsaved]:
        saved = self._try_together(changes, write, is_half)
        if saved is not None:
            yield from saved
            return
        # One loser spoils the whole transaction, and so does one that is refused: halve it until it is alone.
        middle = len(changes) // 2
        yield from self._save_together(changes[:middle], write, is_half=True)
        yield from self._save_together(changes[middle:], write, is_half=True)

    def _try_together(self, changes: Sequence[Change], write: str, is_half: bool) -> list[Saved | Unsaved] | None:
        """The results of these changes; None if some of them keep the others from being stored."""
        try:
            return self._commit_together(changes, write)
        except HttpResponseError as failure:
            is_lost = failure.status_code in _CONFLICTS
            # The repeat of a half is rare: it is known when each is alone, which spares lost races the looks.
            is_looked_at = is_lost and (len(changes) == 1 or not is_half)
            if is_looked_at and (saved := self._saved_before(changes, write)):
                return saved
            # The SDK's exception for a 413 has the status of the whole transaction.
            is_refused = failure.status_code in _REFUSED or isinstance(failure, RequestTooLargeError)
            if not is_lost and not is_refused:
                raise
            if len(changes) == 1:
                return [Unsaved(changes[0], describe_exception(failure))] if is_refused else []
        except AzureError:
            raise
        except Exception as failure:  # whatever cannot be written of one, the others can be
            if len(changes) == 1:
                return [Unsaved(changes[0], describe_exception(failure))]
        return None

    def _commit_together(self, changes: Sequence[Change], write: str) -> list[Saved | Unsaved]:
        changes = [Change(change.stored, document_limits.limit(change.after)) for change in changes]
        replacements = [replacement(change, write) for change in changes]
        answers = self._table.submit_transaction(chain.from_iterable(replacements), **REPEAT_UNANSWERED)
        firsts = accumulate((len(operations) for operations in replacements[:-1]), initial=0)
        return [
            Saved(change.stored.remediation, Stored(change.after, str(answers[first]["etag"]), change.due_entry))
            for change, first in zip(changes, firsts, strict=True)
        ]

    def _saved_before(self, changes: Sequence[Change], write: str) -> list[Saved | Unsaved]:
        """These changes, if this write has carried them out; but those that others have changed since."""
        saved: list[Saved | Unsaved] = []
        for change in changes:
            after = document_limits.limit(change.after)
            if own := own_row(self._table, remediation_row(after, change.due_entry, write)):
                saved.append(Saved(change.stored.remediation, Stored(after, etag_of(own), change.due_entry)))
            elif not saved:
                break  # they were carried out together, or not at all
        return saved


def replacement(change: Change, write: str, keep_old: bool = False) -> list[Operation]:
    """The operations that store a change, its own row first: the row, and its due entry moved to the due time."""
    old, new = change.stored.due_entry, change.due_entry
    operations = [update(change.stored, remediation_row(change.after, new, write))]
    if new != old:
        # A stale entry with the same key is removed when it is met, and the change made then. To look for one first
        # costs Azurite a quarter of its time for the whole change.
        operations.append(("upsert" if keep_old else "create", entry_row(new), {}))
    if not keep_old and (new != old or change.after.due_at is None):
        operations.append(("delete", entry_row(old), {}))
    return operations


def update(stored: Stored, row: Mapping[str, Any]) -> Operation:
    return "update", row, {**only_if(stored.etag), "mode": UpdateMode.REPLACE}
