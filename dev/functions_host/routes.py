"""HTTP route templates: `items/{id:int}/{rest?}` as ASP.NET Core matches them.

Source: Microsoft Learn "Azure Functions HTTP trigger: customize the HTTP endpoint" and "Routing in ASP.NET
Core: route constraints". Literals match without case; a more literal template wins over a less literal one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.settings import ConfigurationError

_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_]\w*)(?::([^{}?]+))?(\?)?\}")
_CONSTRAINTS = {
    "alpha": r"[A-Za-z]+",
    "bool": r"(?:true|false)",
    "decimal": r"-?\d+(?:\.\d+)?",
    "double": r"-?\d+(?:\.\d+)?",
    "float": r"-?\d+(?:\.\d+)?",
    "guid": r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
    "int": r"-?\d+",
    "long": r"-?\d+",
}


@dataclass(frozen=True)
class Route:
    """One HTTP function's address; `precedence` sorts the most specific template first."""

    function: LocalFunction
    pattern: re.Pattern[str]
    precedence: tuple[int, ...]
    methods: frozenset[str] | None
    level: str

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The decoded route parameters when `path` (percent-encoded, no leading slash) and method fit."""
        if self.methods is not None and method not in self.methods:
            return None
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items() if value is not None}


def http_routes(functions: Iterable[LocalFunction], prefix: str) -> list[Route]:
    """The routes of all HTTP functions, in the order in which they are to be tried."""
    routes = [_route(function, prefix) for function in functions if function.trigger.type == "httpTrigger"]
    return sorted(routes, key=lambda route: route.precedence)


def find_route(routes: Iterable[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The first route that takes this request; a known route with another method is None too.

    The real host answers 404, not 405, to a method that no function of the route takes
    (github.com/Azure/azure-functions-host issue 10098).
    """
    for route in routes:
        parameters = route.match(method, path)
        if parameters is not None:
            return route, parameters
    return None


def _route(function: LocalFunction, prefix: str) -> Route:
    properties: Mapping[str, object] = function.trigger.properties
    own = properties.get("route")
    template = (function.name if own is None else str(own)).strip("/")
    pattern, precedence = compile_template(f"{prefix}/{template}".strip("/"))
    methods = properties.get("methods")
    return Route(
        function=function,
        pattern=pattern,
        precedence=precedence,
        methods=frozenset(str(each).upper() for each in methods) if isinstance(methods, Iterable) else None,
        level=str(properties.get("authLevel") or "function").lower(),
    )


def compile_template(template: str) -> tuple[re.Pattern[str], tuple[int, ...]]:
    """A pattern for whole paths and its precedence; raises ConfigurationError for what is not supported."""
    pattern, precedence = "", []
    for number, segment in enumerate(template.split("/")):
        expression, rank, optional = _segment(segment, template)
        # An optional segment takes its slash along; a catch-all may be empty.
        slash = "/" if number else ""
        pattern += f"(?:{slash}{expression})?" if optional else f"{slash}{expression}"
        precedence.append(rank)
    return re.compile(pattern, re.IGNORECASE), tuple(precedence)


def _segment(segment: str, template: str) -> tuple[str, int, bool]:
    expression, position, rank, optional = "", 0, 0, False
    for match in _PARAMETER.finditer(segment):
        stars, name, constraint, question = match.groups()
        if constraint is not None and constraint not in _CONSTRAINTS:
            raise ConfigurationError(f"route {template!r}: the local host has no constraint {constraint!r}")
        value = ".*" if stars else _CONSTRAINTS.get(constraint or "", "[^/]+")
        expression += f"{re.escape(segment[position : match.start()])}(?P<{name}>{value})"
        rank = max(rank, 3 if stars else 1 if constraint else 2)
        optional = optional or bool(question or stars)
        position = match.end()
    rest = segment[position:]
    if "{" in rest or "}" in rest:
        raise ConfigurationError(f"route {template!r}: cannot read the segment {segment!r}")
    return expression + re.escape(rest), rank, optional
