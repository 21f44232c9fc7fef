"""HTTP route templates such as `items/{id}` and `{*path}`, as ASP.NET Core matches them.

Source: Microsoft Learn "Azure Functions HTTP trigger: customize the HTTP endpoint". Literals match without case;
a more literal template wins over a less literal one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.settings import ConfigurationError

_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_]\w*)\}")


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
    template = str(properties.get("route") or function.name).strip("/")
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
        slash = "/" if number else ""
        parameter = _PARAMETER.fullmatch(segment)
        if parameter is None and re.search("[{}]", segment):
            raise ConfigurationError(f"route {template!r}: cannot read the segment {segment!r}")
        if parameter is None:
            pattern, rank = f"{pattern}{slash}{re.escape(segment)}", 0
        elif parameter[1]:
            # A catch-all may be empty, and then takes its slash along.
            pattern, rank = f"{pattern}(?:{slash}(?P<{parameter[2]}>.*))?", 2
        else:
            pattern, rank = f"{pattern}{slash}(?P<{parameter[2]}>[^/]+)", 1
        precedence.append(rank)
    return re.compile(pattern, re.IGNORECASE), tuple(precedence)
