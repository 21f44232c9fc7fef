"""Two hosts with the app in them, on one storage and one simulated Azure of a test's own.

Of its own, because the stack that other tests share has a host that would do the work of a killed one.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dev.processes.errors import Failure
from dev.processes.service import Service, end_group, stop_all
from dev.stack.services import Host
from dev.stack.stack import Stack
from tests.support.azurite import azurite_command
from tests.support.simulator import Simulator

Json = dict[str, Any]
_LOCAL = "localhost,127.0.0.1"
_POSTING = 8
"""Events that are under way at once."""
_BETWEEN_DELIVERIES = 0.5
BETWEEN_POLLS = 1.0
"""Seconds, for conditions that list all that was announced so far."""
ALIVE = (0.3, 2.0)
"""Seconds between a host's start and the next kill: some die while they work off a full queue, some half idle."""


class KillableHost:
    """A host that can be killed at any instruction, and comes back on the same port with the same keys."""

    def __init__(self, name: str, directory: Path, settings: Mapping[str, str]) -> None:
        environment = {**os.environ, "NO_PROXY": _LOCAL, "no_proxy": _LOCAL}
        self._host = Host(sys.executable, None, environment, directory / name)
        self._settings = settings

    @property
    def service(self) -> Service:
        return self._host.service

    def start(self) -> None:
        """Start it; only the main thread may (see `dev.processes.service.bound_to_parent`)."""
        self._host.start(self._settings)

    def wait(self) -> None:
        self._host.wait()

    def kill(self) -> None:
        """SIGKILL: whatever it is about, it does not come to the next instruction."""
        end_group(self.service.process, signal.SIGKILL)
        self.service.stop()

    def accepts(self, event: Json) -> bool:
        """Whether it took the event; not when it refuses, is dead, or dies before it answers."""
        try:
            return self._host.post_event(event).ok
        except (Failure, OSError):
            return False

    def log(self) -> str:
        return self.service.log.read_text(encoding="utf-8", errors="replace")

    def cut_off(self, function: str) -> int:
        """How many invocations of the function began and never ended, over all its lives."""
        log = self.log()
        return log.count(f"Executing 'Functions.{function}'") - log.count(f"Executed 'Functions.{function}'")


@contextmanager
def two_hosts(directory: Path, **settings: str) -> Iterator[tuple[Simulator, list[KillableHost]]]:
    """Azurite, the simulated Azure and two running hosts with these settings; all ended with the block."""
    stack = Stack(directory, azurite_command(), sys.executable, os.environ)
    hosts: list[KillableHost] = []
    try:
        stack.azurite.start()
        stack.simulator.start()
        stack.simulator.wait()
        stack.azurite.wait()
        hosts += [KillableHost(name, directory, {**stack.app_settings(), **settings}) for name in ("first", "second")]
        for host in hosts:
            host.start()
        for host in hosts:
            host.wait()
        azure = Simulator(stack.simulator.ready)
        with azure.session:
            yield azure, hosts
    finally:
        stop_all([host.service for host in hosts])
        stack.stop()


@contextmanager
def delivering(hosts: Sequence[KillableHost], events: Sequence[Json], seconds: float) -> Iterator[None]:
    """Post the events to the hosts in turn while the block runs, each again until a host has taken it."""
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(_POSTING) as posting:
        deliveries = [
            posting.submit(_deliver, [hosts[n % len(hosts)], hosts[(n + 1) % len(hosts)]], event, deadline)
            for n, event in enumerate(events)
        ]
        try:
            yield
        finally:
            for delivery in deliveries:
                delivery.result()


def _deliver(hosts: Sequence[KillableHost], event: Json, deadline: float) -> None:
    """Event Grid's part: what is refused or not answered is delivered once more."""
    tried = 0
    while not hosts[tried % len(hosts)].accepts(event):
        tried += 1
        assert time.monotonic() < deadline, f"no host took the event about {event['subject']}"
        time.sleep(_BETWEEN_DELIVERIES)  # as Event Grid waits before it delivers again


def kill_and_restart(hosts: Sequence[KillableHost], chance: random.Random, kills: int) -> int:
    """Kill at random moments, every third time all hosts at once; returns how many were killed."""
    killed = 0
    while killed < kills:
        time.sleep(chance.uniform(*ALIVE))  # the moment of the kill is the point of it
        victims = hosts if chance.random() < 1 / 3 else [chance.choice(hosts)]
        for host in victims:
            host.kill()
        for host in victims:
            host.start()
        for host in victims:
            host.wait()
        killed += len(victims)
    return killed


def instance_ids(subscription: str, count: int) -> list[str]:
    """So many instances of one vault."""
    vault = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.DataProtection/backupVaults/vault"
    return [f"{vault}/backupInstances/bi-{number:04d}" for number in range(count)]


def put_all(azure: Simulator, ids: Sequence[str], **behaviour: object) -> None:
    """Failing instances."""
    azure.control("PUT", "instances", [{"id": instance_id, "behaviour": behaviour} for instance_id in ids])


class SyncCalls:
    """The sync calls so far, read on from where the last look ended."""

    def __init__(self, azure: Simulator) -> None:
        self._azure = azure
        self._next = 0
        self._calls: list[Json] = []

    def __call__(self) -> list[Json]:
        answer = self._azure.control("GET", f"requests?since={self._next}").json()
        self._next = answer["next"]
        self._calls += [entry for entry in answer["requests"] if entry["kind"] == "sync"]
        return self._calls


def accepted(calls: Sequence[Json]) -> list[Json]:
    """Those of the calls that started an operation."""
    return [entry for entry in calls if entry["status"] == 202]


def instance_of(entry: Json) -> str:
    """The instance that a sync call is about."""
    return str(entry["path"]).removesuffix("/sync")


def moment(text: str) -> datetime:
    """A time of the journal or of a remediation."""
    return datetime.fromisoformat(text)
