"""The local stack: Azurite, the simulated Azure and a Functions host, for as long as one command runs."""

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from dev.processes.errors import Failure
from dev.processes.service import Service, stop_all
from dev.stack.services import Azurite, Host, Simulator

_MAX_KEPT_RUNS = 4


class Stack:
    """All three services. Use it in a `with` block, or call `start` and `stop`."""

    def __init__(
        self,
        directory: Path,
        azurite: Sequence[str],
        python: str,
        environment: Mapping[str, str],
        func: str | None = None,
        **settings: str,
    ) -> None:
        """Data, keys and logs go below `directory`; `azurite` is its command, without options or `services.IN_MEMORY`.

        `func` is the executable of Core Tools, None for the local host; `settings` go to the app besides its addresses.
        """
        environment = {**environment, **_without_proxy(environment)}
        self.directory = directory
        self._settings = settings
        self.azurite = Azurite(azurite, environment, directory)
        self.simulator = Simulator(python, environment, directory)
        self.host = Host(python, func, environment, directory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def services(self) -> list[Service]:
        """The services, those that depend on others first."""
        return [self.host.service, self.simulator.service, self.azurite.service]

    def start(self) -> None:
        """Start all; raises Failure, with none of them left, if one does not get ready."""
        try:
            self.azurite.start()
            self.simulator.start()
            self.simulator.wait()
            self.azurite.wait()
            self.host.start(self.app_settings())
            self.host.wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all: the host first, so that its last invocations still find the others."""
        stop_all(self.services[:1])
        stop_all(self.services[1:])

    def remove_data(self) -> None:
        """Remove all but the logs, once it has ended."""
        for path in self.directory.iterdir():
            if path.is_dir() and path.name != "logs":
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file():
                path.unlink()

    def app_settings(self) -> dict[str, str]:
        """The app's settings: the addresses of this stack, and those given; everything else is the app's default."""
        azure = self.simulator.ready
        return {
            "AzureWebJobsStorage": self.azurite.connection_string,
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PYTHON_THREADPOOL_THREAD_COUNT": "24",
            "ARM_ENDPOINT": azure["url"],
            "ARM_AUDIENCE": "https://management.azure.com",
            "IDENTITY_ENDPOINT": azure["identityEndpoint"],
            "IDENTITY_HEADER": azure["identityHeader"],
            "REQUESTS_CA_BUNDLE": azure["ca"],
            "OUTCOME_TOPIC_ENDPOINT": azure["topicEndpoint"],
            "POLL_SCHEDULE": "*/1 * * * * *",
            # A sweep that happens to come by would heal the instance that the demo or a test is about.
            "SWEEP_SCHEDULE": "off",
            # Empty, so that neither the shell nor local.settings.json names an identity of its own.
            "AZURE_CLIENT_ID": "",
            **self._settings,
        }


def core_tools(choice: str, environment: Mapping[str, str]) -> str | None:
    """The executable of Core Tools for `--host auto|func|local`, None for the local host.

    Raises:
        Failure: `func` was asked for and is not on PATH.
    """
    func = None if choice == "local" else shutil.which("func", path=environment.get("PATH"))
    if choice == "func" and func is None:
        raise Failure(
            "Azure Functions Core Tools were asked for (--host func), and there is no func on PATH."
            " Install them, or leave the option out: dev/functions_host runs the app then."
        )
    return func


def _without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings that keep traffic on this machine away from a proxy."""
    named = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    hosts = ",".join(filter(None, [named, "localhost", "127.0.0.1"]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def new_directory(runs: Path, command: str) -> Path:
    """A fresh directory for one run. Those of ended runs go, but for the last few: logs may be wanted."""
    runs.mkdir(parents=True, exist_ok=True)
    ended = sorted(path for path in runs.iterdir() if not _is_alive(path.name.rpartition("-")[2]))
    for path in ended[:-_MAX_KEPT_RUNS]:
        shutil.rmtree(path, ignore_errors=True)
    directory = runs / f"{datetime.now():%Y%m%d-%H%M%S}-{command}-{os.getpid()}"
    directory.mkdir(mode=0o700)
    return directory


def _is_alive(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
