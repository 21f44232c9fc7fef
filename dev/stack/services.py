"""The services of the local stack: Azurite, the simulated Azure and the Functions host, with calls to each."""

import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from dev.processes.errors import Failure
from dev.processes.service import PROJECT, Service

Json = dict[str, Any]
_ACCOUNT = "devstoreaccount1"
# Azurite's documented account, the same for everybody: no secret.
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
IN_MEMORY = "--inMemoryPersistence"
"""An option of Azurite: data that is gone with the process. On the disk it writes all of it anew every five seconds."""
_REQUEST_TIMEOUT = 20
_IDLE_CONNECTION_TIMEOUT = 120
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at http://127\.0\.0\.1:(\d+)")


class Azurite:
    """The storage emulator, with its data in a directory; a second start takes the same ports and data."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        """`command` is Azurite, without options or `IN_MEMORY`; below `directory` are its data and its log."""
        self.service = Service("Azurite", directory / "logs" / "azurite.log")
        self._command = command
        self._environment = environment
        self._data = directory / "azurite"
        self._ports: dict[str, int] = {}

    @property
    def connection_string(self) -> str:
        """For AzureWebJobsStorage, once it is ready."""
        account = f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
        return account + "".join(
            f"{name}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT};" for name, port in self._ports.items()
        )

    def start(self) -> None:
        """Start it; `wait` tells when it is ready."""
        ports = [f"--{name.lower()}Port={self._ports.get(name, 0)}" for name in ("Blob", "Queue", "Table")]
        # Azure keeps idle connections for minutes; after Azurite's 5 s, now and then a request meets one that closes.
        idle = [f"--{name}KeepAliveTimeout={_IDLE_CONNECTION_TIMEOUT}" for name in ("blob", "queue", "table")]
        options = ["--silent", "--loose", "--skipApiVersionCheck", "--disableTelemetry"]
        place = [] if IN_MEMORY in self._command else ["--location", str(self._data)]
        command = [*self._command, *place, *ports, *idle, *options]
        self._data.mkdir(parents=True, exist_ok=True)
        self.service.start(command, self._environment, log_stdout=True)

    def wait(self) -> None:
        """Return when all three services listen; raises Failure if they never do."""

        def ports() -> dict[str, int] | None:
            found = {name: int(port) for name, port in _LISTENING.findall(self.service.output())}
            return found if len(found) == 3 else None

        self._ports = self.service.wait(ports)

    def stop(self) -> None:
        """End it; the data stays."""
        self.service.stop()


class Simulator:
    """The simulated Azure (dev/azure_simulator), and its control plane."""

    def __init__(self, python: str, environment: Mapping[str, str], directory: Path) -> None:
        """Below `directory` are its certificates and its log."""
        self.service = Service("The simulated Azure", directory / "logs" / "simulator.log")
        self.ready: Json = {}
        self._python = python
        self._environment = environment
        self._directory = directory / "simulator"
        self._session = requests.Session()
        # A proxy or a .netrc of the developer's has no business with localhost.
        self._session.trust_env = False

    @property
    def url(self) -> str:
        """Where ARM, identity, topic and control plane are served."""
        return str(self.ready["url"])

    def start(self) -> None:
        """Start it; `wait` tells when it is ready."""
        options = ["--port", "0", "--directory", str(self._directory)]
        self.service.start([self._python, "-m", "dev.azure_simulator", *options], self._environment)

    def wait(self) -> None:
        """Return when it serves; raises Failure if it never does."""
        self.ready = self.service.wait(lambda: _ready_line(self.service))
        self._session.verify = self.ready["ca"]

    def stop(self) -> None:
        """End it; its instances and events are forgotten."""
        self._session.close()
        self.service.stop()

    def put_instance(self, instance_id: str, **properties: object) -> None:
        """Create or replace a backup instance; for its properties see dev/azure_simulator/control_plane.py."""
        self.control("PUT", "instances", {"id": instance_id, **properties})

    def request_log(self, since: int = 0) -> list[Json]:
        """The requests that it was sent, numbered `since` and up."""
        entries: list[Json] = self.control("GET", f"requests?since={since}").json()["requests"]
        return entries

    def events(self, topic: str = "outcomes") -> list[Json]:
        """The CloudEvents that were published to a topic."""
        events: list[Json] = self.control("GET", f"events?topic={topic}").json()["events"]
        return events

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """One call to `/_simulator/...`; raises Failure when it is refused or not answered."""
        url = f"{self.url}/_simulator/{path}"
        try:
            answer = self._session.request(method, url, json=body, timeout=_REQUEST_TIMEOUT)
        except requests.RequestException as error:
            raise self.service.failure(f"does not answer {method} {path}: {error}") from error
        if not answer.ok:
            raise self.service.failure(f"refused {method} {path} with {answer.status_code}: {answer.text[:500]}")
        return answer


class Host:
    """The Functions host with the app in it: dev/functions_host, or Core Tools."""

    def __init__(
        self,
        python: str,
        func: str | None,
        environment: Mapping[str, str],
        directory: Path,
        app: Path = PROJECT,
    ) -> None:
        """`func` is the executable of Core Tools, None for the local host; `app` the folder of function_app.py."""
        name = "The Functions host (func)" if func else "The Functions host"
        self.service = Service(name, directory / "logs" / "host.log")
        self.url = ""
        self._python = python
        self._func = func
        self._app = app
        self._environment = environment
        self._keys_file = directory / "keys.json"
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def keys(self) -> dict[str, str]:
        """Keys by level: master, function, system. Empty with Core Tools, which ask for none locally."""
        if self._func:
            return {}
        keys: dict[str, str] = json.loads(self._keys_file.read_text(encoding="utf-8"))
        return keys

    def start(self, settings: Mapping[str, str]) -> None:
        """Start it with these app settings on top of the environment; `wait` tells when it is ready."""
        environment = {**self._environment, **settings}
        if self._func:
            # Core Tools cannot choose a port themselves.
            port = _free_port() if not self.url else int(self.url.rpartition(":")[2])
            self.url = f"http://127.0.0.1:{port}"
            command = [self._func, "start", "--port", str(port)]
            self.service.start(command, environment, log_stdout=True)
            return
        port_option = ["--port", self.url.rpartition(":")[2] or "0"]
        options = ["--app", str(self._app), *port_option, "--keys", str(self._keys_file)]
        self.service.start([self._python, "-m", "dev.functions_host", *options], environment)

    def wait(self) -> None:
        """Return when it takes requests; raises Failure if it never does."""
        if self._func:
            try:
                self.service.wait(self._runs, 120)
            except Failure as failure:
                raise Failure(f"{failure}\nWithout Core Tools: the option --host local") from failure
        else:
            self.url = self.service.wait(lambda: _ready_line(self.service))["url"]

    def stop(self) -> None:
        """End it; running invocations get a few seconds."""
        self._session.close()
        self.service.stop()

    def post_event(self, *events: Json, timeout: float = _REQUEST_TIMEOUT) -> requests.Response:
        """Deliver events to on_backup_failure, in one batch, as Event Grid does."""
        return self._request(
            "POST",
            "/runtime/webhooks/EventGrid",
            params={"functionName": "on_backup_failure", "code": self.keys.get("system", "")},
            headers={"aeg-event-type": "Notification"},
            json=events,
            timeout=timeout,
        )

    def call(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call an HTTP function with its key; `path` begins with /api."""
        headers = {"x-functions-key": self.keys.get("function", "")}
        return self._request(method, path, headers=headers, json=body)

    def _request(self, method: str, path: str, timeout: float = _REQUEST_TIMEOUT, **options: Any) -> requests.Response:
        try:
            return self._session.request(method, self.url + path, timeout=timeout, **options)
        except requests.RequestException as error:
            raise self.service.failure(f"does not answer {method} {path}: {error}") from error

    def _runs(self) -> bool | None:
        with suppress(requests.RequestException, ValueError):
            answer = self._session.get(f"{self.url}/admin/host/status", timeout=2)
            if answer.ok and answer.json().get("state") == "Running":
                return True
        return None


def _ready_line(service: Service) -> Json | None:
    line, end, _ = service.output().partition("\n")
    if not end:
        return None
    ready: Json = json.loads(line)
    return ready


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
