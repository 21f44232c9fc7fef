"""URLs of operations as Resource Manager gives them: signed, and some 3.3 kB long.

As in recordings of the tests of Azure CLI's `dataprotection` (2025): `t`, the time in ticks; `c`, a certificate; `s`, a
signature; `h`, a hash. The status is asked for at the vault, the result at the location. Nobody checks the signature.
"""

import base64
import hashlib

from dev.azure_simulator.vaults import InstanceId

LOCATION = "westeurope"
_TICKS_TO_1970 = 621_355_968_000_000_000
_CERTIFICATE_BYTES, _SIGNATURE_BYTES, _HASH_BYTES = 2_060, 256, 32


def status_url(base_url: str, instance: InstanceId, operation_id: str, api_version: str, started: float) -> str:
    """The header Azure-AsyncOperation."""
    path = f"{instance.vault_path}/operationStatus/{operation_id}"
    return f"{base_url}{path}?api-version={api_version}{_signature(path, started)}"


def result_url(base_url: str, instance: InstanceId, operation_id: str, api_version: str, started: float) -> str:
    """The header Location."""
    location = f"/subscriptions/{instance.subscription}/providers/Microsoft.DataProtection/locations/{LOCATION}"
    path = f"{location}/operationResults/{operation_id}"
    return f"{base_url}{path}?api-version={api_version}{_signature(path, started)}"


def _signature(path: str, started: float) -> str:
    ticks = _TICKS_TO_1970 + int(started * 10_000_000)
    certificate, signature = _text("certificate", _CERTIFICATE_BYTES), _text(f"{path}{ticks}", _SIGNATURE_BYTES)
    return f"&t={ticks}&c={certificate}&s={signature}&h={_text(path, _HASH_BYTES)}"


def _text(seed: str, length: int) -> str:
    """So many bytes that follow from the seed, as base64url."""
    return base64.urlsafe_b64encode(hashlib.shake_128(seed.encode()).digest(length)).decode().rstrip("=")
