"""The rows of an alert, each with its own verdict: one alert may tell of a healthy and of a broken instance.

A row is a criterion of `allOf` with its dimensions, a row of a table, an object in a list, or any object that says
how something stands. What stands in no row belongs to all of them. JSON inside a text is read as JSON.

Anybody may send an alert: nothing here recurses, and nothing takes longer than in proportion to the alert.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from shared.sources.json_text import parse_json_text
from shared.sources.row_verdict import Field, Verdict, field_name

Judge = Callable[[Iterator[Field]], Verdict]
Members = tuple[tuple[str, object], ...]
"""An object: its keys and values. JSON has no tuples: what is one has been made here."""

_MAX_TEXTS = 50_000
_MAX_JSON_LEVELS = 4
"""JSON in a text, in a text of that JSON, and so on: each is as much work again."""
_SKIPPED_KEYS = re.compile(r"searchquery|description|linkto.*", re.IGNORECASE | re.DOTALL)
"""Keys whose texts are an alert rule's own words and no statement about what failed."""
_PARTS = frozenset({"authorization", "dimensions", "labels", "properties"})
"""Fields of an object whose own fields say something about that object."""
_NO_ROWS = frozenset({"datasources"})
"""Lists whose objects tell where a search looked, not what it found."""


@dataclass(slots=True)
class Row:
    """One thing that an alert tells."""

    verdict: Verdict
    counts: bool
    """False for what only stands around rows."""
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """A value with what is known about where it stands."""

    value: object
    row: Row
    json_levels: int
    in_list: bool = False
    lists_hold_rows: bool = True
    is_part: bool = False
    """Judged already, as a part of the object in which it stands."""


def read_rows(value: object, judge: Judge, *, lists_hold_rows: bool = True) -> list[Row]:
    """All rows; the first one holds what stands in none of the others.

    Args:
        lists_hold_rows: an object in a list is a row, even if it does not say how anything stands.
    """
    rows = [Row(Verdict(False), counts=False)]
    stack = [_Place(value, rows[0], _MAX_JSON_LEVELS, lists_hold_rows=lists_hold_rows)]
    texts_left = _MAX_TEXTS
    while stack and texts_left:
        place = stack.pop()
        if isinstance(place.value, str):
            parsed = parse_json_text(place.value) if place.json_levels else None
            if isinstance(parsed, (dict, list, str)):
                stack.append(replace(place, value=parsed, json_levels=place.json_levels - 1))
            else:
                place.row.texts.append(place.value)
                texts_left -= 1
        elif members := _members(place.value):
            row = _row_of(place, members, judge, rows)
            stack.extend(reversed([*_places_in(place, members, row)]))
        elif isinstance(place.value, list):
            stack.extend(replace(place, value=item, in_list=True, is_part=False) for item in reversed(place.value))
    return rows


def _row_of(place: _Place, members: Members, judge: Judge, rows: list[Row]) -> Row:
    """The row that an object is, or the one in which it stands."""
    around = place.row
    if around.verdict.ignore_reason or place.is_part or _table_rows(members) is not None:
        return around
    verdict = judge(_fields(members))
    if not verdict.is_stated and not (place.in_list and place.lists_hold_rows):
        if verdict.names_backup:
            around.verdict = replace(around.verdict, names_backup=True)
        return around
    if not around.verdict.is_stated:
        around.counts = False
    rows.append(Row(verdict, counts=True))
    return rows[-1]


def _places_in(place: _Place, members: Members, row: Row) -> Iterator[_Place]:
    inside = replace(place, row=row, in_list=False, is_part=False)
    table = _table_rows(members)
    if table is not None:
        yield from (replace(inside, value=each, in_list=True) for each in table)
        return
    for key, value in members:
        if not _SKIPPED_KEYS.fullmatch(key):
            name = field_name(key)
            hold_rows = place.lists_hold_rows and name not in _NO_ROWS
            yield replace(inside, value=value, lists_hold_rows=hold_rows, is_part=name in _PARTS)


def _members(value: object) -> Members | None:
    """The members of an object, or of a list of names and values, as dimensions are; None for anything else."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, Mapping):
        return tuple((str(key), item) for key, item in value.items())
    if isinstance(value, list) and value:
        pairs = [_name_and_value(item) for item in value]
        return tuple(pair for pair in pairs if pair) if all(pairs) else None
    return None


def _name_and_value(item: object) -> tuple[str, object] | None:
    if not isinstance(item, Mapping) or len(item) > 4:
        return None
    members = {str(key).lower(): value for key, value in item.items()}
    name = members.get("name")
    return (name, members["value"]) if isinstance(name, str) and "value" in members else None


def _table_rows(members: Members) -> list[object] | None:
    """The rows of a table, as objects; None if this is no table."""
    table = {key.lower(): value for key, value in members if len(key) <= len("columns")}
    columns, rows = table.get("columns"), table.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return None
    names = [str(column.get("name")) if isinstance(column, Mapping) else str(column) for column in columns]
    return [tuple(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]


def _fields(members: Members) -> Iterator[Field]:
    """The fields of an object and of those of its parts that say something about it."""
    for key, value in members:
        name = field_name(key)
        yield name, value
        if name in _PARTS:
            part = parse_json_text(value) if isinstance(value, str) else value
            yield from ((field_name(inner), item) for inner, item in _members(part) or ())
