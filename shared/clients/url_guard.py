"""Checks of URLs that ARM names, before they are called: the token goes to Azure Resource Manager and nowhere else."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_URL = re.compile(r"https://[A-Za-z0-9.:-]+/[A-Za-z0-9\-._~:/?@!$&'()*+,;=%]*")
"""All that RFC 3986 allows, less user info, brackets and fragment: nothing on which two URL parsers could disagree."""
_PATH_TRAVERSAL = re.compile(r"/(\.|%2e){1,2}(;|/|$)|%2f|%5c|%25", re.IGNORECASE)
_MAX_QUOTED_CHARS = 300
_DEFAULT_PORT = ":443"


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
    if not _URL.fullmatch(url):
        raise UnsafeUrl(f"the {kind} {quoted} is malformed")
    parts = urlsplit(url)
    if not any(_matches(parts.netloc.lower(), allowed) for allowed in hosts):
        raise UnsafeUrl(f"the {kind} {quoted} is on a host that is neither the ARM endpoint nor in ARM_ALLOWED_HOSTS")
    path = parts.path.lower()
    if _PATH_TRAVERSAL.search(path):
        raise UnsafeUrl(f"the {kind} {quoted} has dot segments or an encoded slash in its path")
    if not path.startswith(f"/subscriptions/{subscription_id.lower()}/"):
        raise UnsafeUrl(f"the {kind} {quoted} is not in the subscription that was asked about")
    if not path.partition("/providers/")[2].startswith("microsoft.dataprotection/"):
        raise UnsafeUrl(f"the {kind} {quoted} is nothing of Microsoft.DataProtection")


def _matches(host: str, allowed: str) -> bool:
    host, allowed = host.removesuffix(_DEFAULT_PORT), allowed.removesuffix(_DEFAULT_PORT)
    return host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))
