"""A scripted server that speaks https with a certificate that the environment trusts."""

from collections.abc import Iterator
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import pytest

from dev.azure_simulator.certificates import server_certificate
from tests.support.scripted_server import ScriptedServer, scripted_server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return server_certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def running_https(certificates: tuple[Path, Path]) -> Iterator[ScriptedServer]:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[1])
    with scripted_server(context) as server:
        yield server


@pytest.fixture
def https(
    running_https: ScriptedServer, certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> ScriptedServer:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates[0]))
    return running_https
