"""The throw-away certificate authority of the simulated Azure, and the secrets that outlive a restart."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import trustme

_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the simulator's clients were told, or were given a signature of."""

    identity_header: str
    signing_key: bytes


def server_certificate(directory: Path) -> tuple[Path, Path]:
    """Paths of the CA's certificate (for REQUESTS_CA_BUNDLE) and of the server's key and chain, both PEM.

    A CA that is in the directory already is used again, so that its clients survive a restart.
    """
    ca_path, key_path, server_path = (directory / name for name in ("ca.pem", "ca.key", "server.pem"))
    if ca_path.exists() and key_path.exists():
        ca = trustme.CA.from_pem(ca_path.read_bytes(), key_path.read_bytes())
    else:
        ca = trustme.CA(organization_name="Azure simulator")
        _write_private(key_path, ca.private_key_pem.bytes())
        ca_path.write_bytes(ca.cert_pem.bytes())
    server = ca.issue_cert(*_HOSTS)
    _write_private(server_path, server.private_key_and_cert_chain_pem.bytes())
    return ca_path, server_path


def lasting_secrets(directory: Path) -> Secrets:
    """The secrets of this directory, made at the first call."""
    path = directory / "identity.json"
    if not path.exists():
        fresh = {"identityHeader": secrets.token_hex(16), "signingKey": secrets.token_hex(32)}
        _write_private(path, json.dumps(fresh).encode())
    kept = json.loads(path.read_text())
    return Secrets(kept["identityHeader"], bytes.fromhex(kept["signingKey"]))


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
