"""Checks of URLs that ARM names, before they are called: the token goes to Azure Resource Manager and nowhere else."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from shared.domain.hosts import DEFAULT_PORT, is_allowed

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(
    rf"https://(?P<host>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>[1-9][0-9]{{0,4}}))?"
    r"/(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*",
    re.IGNORECASE,
)
"""RFC 3986, less user info, brackets, fragment and stray percent signs, its host as RFC 1123, section 2.1, has it (ARM
names none in another script): nothing on which two URL parsers could disagree."""
_MAX_HOST_CHARS = 253
_MAX_PORT = 65_535
_MAX_URL_CHARS = 16_384
"""Five times the longest that was seen."""
_PATH_TRAVERSAL = re.compile(r"/(\.|%2e){1,2}(;|/|$)|%2f|%5c|%25", re.IGNORECASE)
_MAX_QUOTED_CHARS = 300


class UnsafeUrl(ValueError):
    """A URL that must not get the token; the message says what is wrong with it."""


def check_url(kind: str, url: str, subscription_id: str, hosts: Sequence[str]) -> None:
    """Let a URL pass that ARM may have given for a call about this subscription: an operation's, or a next page's.

    It must be https, on one of the hosts (`name`, `name:port` or `*.name` for subdomains), below the subscription,
    and of Microsoft.DataProtection. Vault, resource group and location are not checked: ARM names them differently
    from call to call.

    Args:
        kind: what the URL is, for the message.

    Raises:
        UnsafeUrl: it is not.
    """
    quoted = ascii(url[:_MAX_QUOTED_CHARS])
    if not url.lower().startswith("https://"):
        raise UnsafeUrl(f"the {kind} {quoted} is not https")
    form = _URL.fullmatch(url) if len(url) <= _MAX_URL_CHARS else None
    port = int(form["port"] or DEFAULT_PORT) if form else 0
    if form is None or len(form["host"]) > _MAX_HOST_CHARS or port > _MAX_PORT:
        raise UnsafeUrl(f"the {kind} {quoted} is malformed")
    if not is_allowed(form["host"].lower(), port, hosts):
        raise UnsafeUrl(f"the {kind} {quoted} is on a host that is neither the ARM endpoint nor in ARM_ALLOWED_HOSTS")
    path = urlsplit(url).path.lower()
    if _PATH_TRAVERSAL.search(path):
        raise UnsafeUrl(f"the {kind} {quoted} has dot segments or an encoded slash in its path")
    if not path.startswith(f"/subscriptions/{subscription_id.lower()}/"):
        raise UnsafeUrl(f"the {kind} {quoted} is not in the subscription that was asked about")
    if not path.partition("/providers/")[2].startswith("microsoft.dataprotection/"):
        raise UnsafeUrl(f"the {kind} {quoted} is nothing of Microsoft.DataProtection")
