"""The simulated Azure and the storage emulator, each call of the app to them through a gateway that can be faulty."""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dev.azure_simulator.certificates import server_certificate
from tests.support.faults import ErrorBody, arm_error, faults, identity_error, table_error, xml_error
from tests.support.gateway import Answer, Fault, Gateway, Request, Served
from tests.support.simulator import Simulator

SYNC, STATUS, INSTANCE, VAULT, ACCESS = "sync", "operation status", "instance", "vault list", "subscriptions"
GRAPH, IDENTITY, TOPIC = "Resource Graph", "identity", "topic"
TABLE, QUEUE, BLOB = "table", "queue", "blob"
ELSEWHERE = "elsewhere"
"""The address that a redirect leads to, and nothing else."""

ERRORS: Mapping[str, ErrorBody] = {
    **dict.fromkeys((SYNC, STATUS, INSTANCE, VAULT, ACCESS, GRAPH, TOPIC), arm_error),
    IDENTITY: identity_error,
    TABLE: table_error,
    **dict.fromkeys((QUEUE, BLOB), xml_error),
}
CALLS = tuple(ERRORS)
STORAGE = frozenset({TABLE, QUEUE, BLOB})
ARM_KINDS = (
    (re.compile(r"POST .*/sync\?", re.IGNORECASE), SYNC),
    (re.compile(r"GET .*/backupInstances/[^/?]+\?", re.IGNORECASE), INSTANCE),
    (re.compile(r"GET .*/backupInstances\?", re.IGNORECASE), VAULT),
    (re.compile(r"GET /subscriptions\?", re.IGNORECASE), ACCESS),
)
_ENDPOINT = re.compile(r"(Table|Queue|Blob)Endpoint=http://[^:]+:(\d+)")


def _arm_kind(request: Request) -> str:
    line = f"{request.method} {request.target}"
    return next((kind for pattern, kind in ARM_KINDS if pattern.match(line)), ELSEWHERE)


def _kind(kind: str, request: Request) -> str:
    return ELSEWHERE if request.target.startswith(f"/{ELSEWHERE}") else kind


@dataclass(frozen=True)
class FaultyAzure:
    """Where the app finds everything. Each call whose server can be its own has one, so that it alone is refused."""

    simulator: Simulator
    ca: Path
    """Of all gateways."""
    gateways: Mapping[str, Gateway]
    """By the kind of call."""
    connection_string: str
    """Of the storage account behind its gateways."""

    @property
    def arm(self) -> str:
        """The endpoint of Resource Manager."""
        return self.gateways[SYNC].url

    @property
    def environment(self) -> dict[str, str]:
        """Of an app with a managed identity."""
        return {
            "IDENTITY_ENDPOINT": self.through(IDENTITY, self.simulator.ready["identityEndpoint"]),
            "IDENTITY_HEADER": self.simulator.ready["identityHeader"],
            "REQUESTS_CA_BUNDLE": str(self.ca),
        }

    def through(self, kind: str, url: str) -> str:
        """A URL of the simulator, through the gateway of these calls."""
        return self.gateways[kind].url + urlsplit(url).path

    def faults(self, kind: str) -> dict[str, Fault]:
        """All faults that calls of this kind can meet, by name."""
        return {fault.name: fault for fault in faults(ERRORS[kind], f"{self.gateways[kind].url}/{ELSEWHERE}")}

    @contextmanager
    def fault(self, kind: str, fault: Fault) -> Iterator[None]:
        """As long as this lasts, calls of this kind meet the fault."""
        with self.gateways[kind].fault(kind, fault):
            yield

    def served(self, kind: str) -> list[Served]:
        """The requests of this kind since the last reset."""
        return [served for served in self.gateways[kind].served if served.kind == kind]

    def served_elsewhere(self) -> list[Served]:
        """The requests that followed a redirect, perhaps with a token."""
        return [one for gateway in set(self.gateways.values()) for one in gateway.served if one.kind == ELSEWHERE]

    def reset(self) -> None:
        """Forget what was served and what was registered."""
        self.simulator.control("POST", "reset")
        for gateway in self.gateways.values():
            gateway.served.clear()


@contextmanager
def faulty_azure(simulator: Simulator, connection_string: str, directory: Path) -> Iterator[FaultyAzure]:
    """All gateways, without a fault."""
    ca, certificate = server_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=simulator.ready["ca"])

    def before_simulator(kind: str) -> Gateway:
        # The identity endpoint of App Service is on the host itself, without TLS.
        tls = None if kind == IDENTITY else context
        return Gateway(simulator.url, lambda request: _kind(kind, request), tls, trusting)

    gateways = {kind: before_simulator(kind) for kind in (STATUS, GRAPH, IDENTITY, TOPIC)}
    operations = gateways[STATUS]

    def rewrite(answer: Answer) -> Answer:
        headers = {name: value.replace(simulator.url, operations.url) for name, value in answer.headers.items()}
        return answer._replace(
            headers=headers, body=answer.body.replace(simulator.url.encode(), operations.url.encode())
        )

    manager = Gateway(simulator.url, _arm_kind, context, trusting, rewrite)
    gateways |= dict.fromkeys((SYNC, INSTANCE, VAULT, ACCESS), manager)
    for service, port in _ENDPOINT.findall(connection_string):
        kind = service.lower()
        gateways[kind] = Gateway(f"http://127.0.0.1:{port}", lambda request, kind=kind: _kind(kind, request))  # type: ignore[misc] # mypy knows no defaults of lambdas
    through = _ENDPOINT.sub(
        lambda found: f"{found[1]}Endpoint=http://localhost:{gateways[found[1].lower()].port}", connection_string
    )
    try:
        yield FaultyAzure(simulator, ca, gateways, through)
    finally:
        for gateway in gateways.values():
            gateway.close()
