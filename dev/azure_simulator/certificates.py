"""The throw-away certificate authority of the simulated Azure."""

import os
from pathlib import Path

import trustme

_HOSTS = ("localhost", "127.0.0.1", "::1")


def server_certificate(directory: Path) -> tuple[Path, Path]:
    """Paths of the CA's certificate (for REQUESTS_CA_BUNDLE) and of the server's key and chain, both new and PEM.

    Only the owner of the directory's files can read the key.
    """
    ca_path, server_path = directory / "ca.pem", directory / "server.pem"
    ca = trustme.CA(organization_name="Azure simulator")
    ca_path.write_bytes(ca.cert_pem.bytes())
    server_path.unlink(missing_ok=True)
    with os.fdopen(os.open(server_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(ca.issue_cert(*_HOSTS).private_key_and_cert_chain_pem.bytes())
    return ca_path, server_path
