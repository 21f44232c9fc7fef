"""Azure Resource Graph, as far as one query about backup instances goes.

The table is `recoveryservicesresources`, with the simulated vaults' backup instances in it. Of the query language
it understands `where`, `extend`, `project` and `order by`; conditions are joined by `and`, and each compares a
column or a path (`properties.currentProtectionState`, with or without `tostring()`) by `==`, `=~`, `in` or `in~`
with texts. Anything else is refused with the `400 BadRequest` that Resource Graph has for a query it cannot parse.

Sources: REST reference "Resources - Resources" (2022-10-01); "Guidance for pagination"; "Troubleshoot errors using
Azure Resource Graph".
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from dev.azure_simulator.behaviour import Fault, Json
from dev.azure_simulator.data_protection import Call, show_instance
from dev.azure_simulator.errors import fault_response
from dev.azure_simulator.vaults import Instance, Vaults

_TABLE = "recoveryservicesresources"
_LARGEST_PAGE = 1000
_MOST_SUBSCRIPTIONS = 1000
_QUOTA = {"x-ms-user-quota-remaining": "14", "x-ms-user-quota-resets-after": "00:00:05"}
"""Nothing is counted here: a full quota less this query."""
_COLUMN = r"(?:tostring\(\s*)?([A-Za-z_][\w.]*)\s*\)?"
_NAMED = re.compile(rf"(?:(\w+)\s*=\s*)?{_COLUMN}")
_ONE = re.compile(rf"{_COLUMN}\s*(==|=~)\s*'([^']*)'")
_MANY = re.compile(rf"{_COLUMN}\s+(in~?)\s*\(([^()]*)\)")
_ORDER = re.compile(r"([A-Za-z_][\w.]*)(?:\s+(asc|desc))?")

_Operator = Callable[[list[Json]], list[Json]]


class InvalidQuery(ValueError):
    """Not a request that Resource Graph, or this part of it, understands; the code and message say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Graph:
    """Answers for Microsoft.ResourceGraph."""

    def __init__(self, vaults: Vaults) -> None:
        """Know the instances of these vaults, with no delay."""
        self._vaults = vaults
        self.reset()

    def reset(self) -> None:
        """Without faults."""
        self.set_faults(())

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """What the next queries get in place of an answer, one each."""
        self._faults = list(faults)

    def resources(self, call: Call) -> Response:
        """`POST /providers/Microsoft.ResourceGraph/resources`: one page of the query's rows."""
        if self._faults:
            return fault_response(self._faults.pop(0))
        try:
            request = _read_request(call.body)
            rows = self._rows(request.get("subscriptions"), call.now)
            for apply in _read_query(request["query"]):
                rows = apply(rows)
            return JSONResponse(_page(rows, request["query"], request.get("options") or {}), headers=_QUOTA)
        except InvalidQuery as invalid:
            return _refused(invalid)

    def _rows(self, subscriptions: list[str] | None, now: float) -> list[Json]:
        instances = self._vaults.all()
        if subscriptions is not None:
            if not any(self._vaults.has_subscription(one) for one in subscriptions):
                given = ", ".join(subscriptions)
                message = (
                    f"There must be at least one subscription that is eligible to contain resources. Given: '{given}'."
                )
                raise InvalidQuery("NoValidSubscriptionsInQueryRequest", message)
            wanted = {one.lower() for one in subscriptions}
            instances = [instance for instance in instances if instance.id.subscription.lower() in wanted]
        return [_row(instance, now) for instance in instances]


def _row(instance: Instance, now: float) -> Json:
    shown = show_instance(instance, now)
    # Types and resource groups are shown in lower case there, whatever their casing.
    more = {"subscriptionId": instance.id.subscription, "resourceGroup": instance.id.resource_group.lower()}
    return {**shown, **more, "type": shown["type"].lower()}


def _read_request(body: bytes) -> Json:
    try:
        request = json.loads(body)
    except ValueError:
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        raise InvalidQuery("InvalidRequest", "The request is a JSON object with a query.")
    subscriptions = request.get("subscriptions")
    if subscriptions is not None and not _are_texts(subscriptions):
        raise InvalidQuery("InvalidRequest", "The subscriptions are a list of subscription ids.")
    if subscriptions is not None and len(subscriptions) > _MOST_SUBSCRIPTIONS:
        raise InvalidQuery("TooManySubscriptions", f"No more than {_MOST_SUBSCRIPTIONS} subscriptions may be named.")
    if not isinstance(request.get("options") or {}, dict):
        raise InvalidQuery("InvalidRequest", "The options are a JSON object.")
    return request


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _read_query(query: str) -> list[_Operator]:
    table, *operators = (part.strip() for part in re.split(r"\|(?=(?:[^']*'[^']*')*[^']*$)", query))
    if table.lower() != _TABLE:
        raise InvalidQuery("DisallowedLogicalTableName", f"Table {table} is invalid, unsupported or disallowed.")
    return [_read_operator(operator) for operator in operators]


def _read_operator(operator: str) -> _Operator:
    word, _, rest = operator.partition(" ")
    match word.lower():
        case "where":
            conditions = [_read_condition(each.strip()) for each in re.split(r"\sand\s", rest)]
            return lambda rows: [row for row in rows if all(holds(row) for holds in conditions)]
        case "extend":
            added = _read_columns(rest)
            return lambda rows: [{**row, **{name: _value(row, path) for name, path in added}} for row in rows]
        case "project":
            kept = _read_columns(rest)
            return lambda rows: [{name: _value(row, path) for name, path in kept} for row in rows]
        case "order":
            return _read_order(rest)
        case _:
            raise _unparsable(operator)


def _read_order(text: str) -> _Operator:
    found = _ORDER.fullmatch(text.strip().removeprefix("by").strip())
    if not found:
        raise _unparsable(f"order {text}")
    column, direction = found.groups()
    # Without a direction the language sorts from the largest down.
    return lambda rows: sorted(rows, key=lambda row: str(_value(row, column)), reverse=direction != "asc")


def _read_columns(text: str) -> list[tuple[str, str]]:
    """Pairs of a name and the path behind it."""
    columns = []
    for part in text.split(","):
        found = _NAMED.fullmatch(part.strip())
        if not found:
            raise _unparsable(part)
        name, path = found.groups()
        columns.append((name or path.replace(".", "_"), path))
    return columns


def _read_condition(text: str) -> Callable[[Json], bool]:
    if one := _ONE.fullmatch(text):
        path, operator, literal = one.groups()
        literals = [literal]
    elif many := _MANY.fullmatch(text):
        path, operator, inner = many.groups()
        literals = [_literal(part.strip()) for part in inner.split(",")]
    else:
        raise _unparsable(text)
    if "~" not in operator:
        return lambda row: _value(row, path) in literals
    folded = [literal.lower() for literal in literals]
    return lambda row: str(_value(row, path)).lower() in folded


def _literal(text: str) -> str:
    if not re.fullmatch(r"'[^']*'", text):
        raise _unparsable(text)
    return text[1:-1]


def _value(row: Json, path: str) -> Any:
    """The value at the path; an absent one is empty, as `tostring()` has it."""
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else value


def _page(rows: list[Json], query: str, options: Json) -> Json:
    top = options.get("$top") or _LARGEST_PAGE
    if not isinstance(top, int) or not 1 <= top <= _LARGEST_PAGE:
        raise InvalidQuery("InvalidRequest", f"$top is a number from 1 to {_LARGEST_PAGE}.")
    if options.get("resultFormat", "objectArray") != "objectArray":
        raise InvalidQuery("InvalidRequest", "The simulator knows the resultFormat objectArray only.")
    start = _read_skip_token(options.get("$skipToken"), query)
    page = rows[start : start + top]
    answer: Json = {
        "totalRecords": len(rows),
        "count": len(page),
        "data": page,
        "facets": [],
        "resultTruncated": "false",
    }
    if start + top < len(rows):
        token = json.dumps({"offset": start + top, "query": query})
        answer["$skipToken"] = base64.b64encode(token.encode()).decode()
    return answer


def _read_skip_token(token: object, query: str) -> int:
    """Where the page starts. A token goes with the very query whose page gave it out."""
    if not token:
        return 0
    try:
        place = json.loads(base64.b64decode(str(token), validate=True))
        if place["query"] == query:
            return int(place["offset"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        pass
    raise InvalidQuery("InvalidSkipToken", "The $skipToken is invalid for this query.")


def _unparsable(text: str) -> InvalidQuery:
    return InvalidQuery("ParserFailure", f"ParserFailure at '{text.strip()}': the simulator understands no more of it.")


def _refused(invalid: InvalidQuery) -> Response:
    error = {
        "code": "BadRequest",
        "message": "Please provide below info when asking for support.",
        "details": [
            {"code": "InvalidQuery", "message": "Query is invalid. Please refer to the documentation."},
            {"code": invalid.code, "message": str(invalid)},
        ],
    }
    return JSONResponse({"error": error}, 400, _QUOTA)
