"""Where remediations wait for their next attempt: one row for each subscription, with resource groups and until when.

An event costs one point read of it, and nothing more where nothing waits. Nothing is ever taken out of a row: what is
past counts no more. A row that is lost or cannot be read says that nothing waits; then a repair wakes nobody, and the
retry delays go on by themselves.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from azure.data.tables import TableClient

from shared.clock import from_millis, to_millis
from shared.domain.repair import Repair
from shared.domain.wake import Groups
from shared.storage.shared_rows import CORRUPT, Row, SharedRows

_PARTITION = "waiting"
_ANY = "*"
"""Stands for all resource groups of a subscription."""
_MAX_GROUPS = 150
"""In a row; with more, any group counts. A name has 90 characters at most, a property 32 Ki."""
_MAX_NAME_CHARS = 90
_MARGIN = timedelta(hours=1)
"""Noted beyond the wait itself, so that those that begin shortly after need no write of their own."""

_Until = dict[str, datetime]


class WaitingGroups:
    """Notes who waits, and tells. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the rows in this table."""
        self._now = now
        self._rows = SharedRows(table, _PARTITION, now)

    def note(self, waits: Iterable[tuple[Groups, datetime]]) -> None:
        """Note in which groups something waits, and until when.

        Raises:
            WriteConflict: other hosts kept changing a row first.
        """
        wanted: dict[str, _Until] = {}
        for groups, until in waits:
            for subscription_id, group in groups:
                of_subscription = wanted.setdefault(subscription_id, {})
                name = group if group and len(group) <= _MAX_NAME_CHARS else _ANY
                of_subscription[name] = max(until, of_subscription.get(name, until))
        for subscription_id, of_subscription in wanted.items():
            self._note(subscription_id, of_subscription)

    def concerns(self, repair: Repair) -> bool:
        """Whether something may wait where the repair acts: one point read."""
        row = self._rows.read(repair.subscription_id)
        now = self._now()
        waiting = {name for name, until in self._read(row).items() if until > now}
        return bool(waiting) if repair.group is None else bool(waiting & {repair.group, _ANY})

    def _note(self, subscription_id: str, wanted: _Until) -> None:
        self._rows.change(subscription_id, lambda row: self._noted(row, wanted))

    def _noted(self, row: Row | None, wanted: _Until) -> Row | None:
        now = self._now()
        known = {name: until for name, until in self._read(row).items() if until > now}
        news = {name: until for name, until in wanted.items() if known.get(name, now) < until > now}
        if not news or all(known.get(_ANY, now) >= until for until in news.values()):
            return None
        groups = known | {name: until + _MARGIN for name, until in news.items()}
        if len(groups) > _MAX_GROUPS:
            groups = {_ANY: max(groups.values())}
        text = json.dumps({name: to_millis(until) for name, until in groups.items()}, ensure_ascii=False)
        return {"Groups": text}

    def _read(self, row: Row | None) -> _Until:
        if row is None:
            return {}
        try:
            return {str(name): from_millis(int(until)) for name, until in json.loads(row["Groups"]).items()}
        except CORRUPT as corrupt:
            self._rows.report(row, corrupt)
            return {}
