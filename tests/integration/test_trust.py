"""Whom a session trusts: the certificates of its bundle, read once, and nobody else."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
import trustme

from shared.clients.http_session import pooled_session
from tests.support.simulator import Simulator


def answered(session: requests.Session, azure: Simulator, verify: bool | None = None) -> int:
    return session.get(f"{azure.url}/subscriptions", timeout=10, verify=verify).status_code


@contextmanager
def served_as(authority: trustme.CA, name: str) -> Iterator[str]:
    """A server on this machine with a certificate for that name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


def test_an_endpoint_whose_certificate_the_bundle_covers_is_called(in_azure: Simulator) -> None:
    with pooled_session(in_azure.url, 4) as session:
        assert answered(session, in_azure) == 401


def test_an_endpoint_that_no_public_authority_vouches_for_is_not_called(
    in_azure: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pooled_session(in_azure.url, 4) as session, pytest.raises(requests.exceptions.SSLError):
        answered(session, in_azure)


@pytest.mark.parametrize("verify", [None, True])
def test_an_endpoint_of_another_authority_is_not_called(
    in_azure: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verify: bool | None
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    with pooled_session(in_azure.url, 4) as session, pytest.raises(requests.exceptions.SSLError):
        answered(session, in_azure, verify)


def test_a_certificate_for_another_name_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with (
        served_as(authority, "other.example") as url,
        pooled_session(url, 4) as session,
        pytest.raises(requests.exceptions.SSLError, match="localhost"),
    ):
        session.get(url, timeout=10)


def test_the_bundle_is_read_once_for_all_connections(
    in_azure: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(Path(in_azure.ready["ca"]).read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pooled_session(in_azure.url, 4) as session:
        bundle.unlink()
        assert answered(session, in_azure) == 401


def test_a_bundle_may_be_a_directory(in_azure: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # OpenSSL looks for a file that is named for the subject's hash; an empty directory vouches for nobody.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    with pooled_session(in_azure.url, 4) as session, pytest.raises(requests.exceptions.SSLError):
        answered(session, in_azure)
