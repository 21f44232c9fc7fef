"""Whether a host is one of those that a setting allows. Pure, and light: settings are read at every cold start."""

from collections.abc import Iterable

DEFAULT_PORT = 443
"""Of https."""


def is_allowed(host: str, port: int, allowed: Iterable[str]) -> bool:
    """Whether a host, in lower case, is one of these: `name`, `name:port`, or `*.name` for subdomains."""
    return any(_matches(host, port, each.lower()) for each in allowed)


def _matches(host: str, port: int, allowed: str) -> bool:
    name, _, allowed_port = allowed.partition(":")
    if str(port) != (allowed_port or str(DEFAULT_PORT)):
        return False
    return host == name or (name.startswith("*.") and host.endswith(name[1:]))
