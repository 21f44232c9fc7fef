"""The guard before a URL that ARM names: the token goes to Azure Resource Manager and nowhere else."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from shared.domain.resource_ids import BackupInstanceId, BackupVaultId

_PROVIDERS = "/providers/"
_PROVIDER = "microsoft.dataprotection/"
_URL = re.compile(r"https://[A-Za-z0-9.:-]+/[A-Za-z0-9\-._~:/?@!$&'()*+,;=%]*")
"""What RFC 3986 allows, less user info, brackets and fragment: nothing on which two URL parsers could disagree."""
_CLIMBING = re.compile(r"/(\.|%2e){1,2}(;|/|$)|%2f|%5c|%25", re.IGNORECASE)
_SHOWN = 300
_DEFAULT_PORT = ":443"


class UnsafeUrl(ValueError):
    """A URL that must not get the token; the message says what is wrong with it."""


def check_operation_url(url: str, instance: BackupInstanceId, hosts: Sequence[str]) -> None:
    """Let a URL pass that ARM may have given for an operation on this instance.

    It must be https, on one of the hosts (`name`, `name:port` or `*.name` for subdomains), below the instance's
    own subscription, and an operation of Microsoft.DataProtection. Vault, resource group or location are not
    looked at: ARM names them differently from call to call.

    Raises:
        UnsafeOperationUrl: it is not.
    """
    _check("operation URL", url, instance.subscription_id, hosts)


def check_next_link(url: str, vault: BackupVaultId, hosts: Sequence[str]) -> None:
    """Let a URL pass that ARM may have given for the next page of this vault's instances.

    The same rules as for an operation URL; the path may spell the vault in any way that ARM likes.

    Raises:
        UnsafeOperationUrl: it is not.
    """
    _check("next link", url, vault.subscription_id, hosts)


def _check(what: str, url: str, subscription_id: str, hosts: Sequence[str]) -> None:
    shown = ascii(url[:_SHOWN])
    if not url.lower().startswith("https://"):
        raise UnsafeUrl(f"the {what} {shown} is not https")
    if not _URL.fullmatch(url):
        raise UnsafeUrl(f"the {what} {shown} is malformed")
    parts = urlsplit(url)
    if not _is_allowed(parts.netloc.lower(), hosts):
        raise UnsafeUrl(f"the {what} {shown} is on a host that is neither the ARM endpoint nor in ARM_ALLOWED_HOSTS")
    path = parts.path.lower()
    if _CLIMBING.search(path):
        raise UnsafeUrl(f"the {what} {shown} climbs in its path")
    if not path.startswith(f"/subscriptions/{subscription_id.lower()}/"):
        raise UnsafeUrl(f"the {what} {shown} is not in the subscription that was asked about")
    if not path.partition(_PROVIDERS)[2].startswith(_PROVIDER):
        raise UnsafeUrl(f"the {what} {shown} is nothing of Microsoft.DataProtection")


def _is_allowed(host: str, hosts: Sequence[str]) -> bool:
    bare = host.removesuffix(_DEFAULT_PORT)
    for allowed in (each.removesuffix(_DEFAULT_PORT) for each in hosts):
        if bare == allowed or (allowed.startswith("*.") and bare.endswith(allowed[1:])):
            return True
    return False
