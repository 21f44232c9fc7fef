"""The work that is measured: failing instances, the events about them, and the logs of the app and of Azure."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from datetime import datetime
from pathlib import Path

from dev.stack.failure_event import failure_event
from dev.stack.services import Host, Simulator
from dev.stack.stack import Stack

GROUP = "rg-bench"
VAULT = "vault-bench"
_ARM_KINDS = frozenset({"sync", "operationStatus", "operationResults", "instance"})
_POLL_INTERVAL = 0.1
_INVOCATION = re.compile(
    r"^\[(\S+)\] \w+ \S+ (Executing|Executed) 'Functions\.(\w+)'.*?Id=([0-9a-f-]+)(?:, Duration=(\d+)ms)?",
    re.MULTILINE,
)
_NO_REQUEST = 2**31
"""No request log gets that far: asks for no entry, only for the number of the next one."""


def instance_name(number: int) -> str:
    """Names of a vault's instances, by number."""
    return f"disk-{number:05d}"


def instance_ids(subscription: str, count: int) -> list[str]:
    """The ids of so many instances."""
    vault = f"/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/Microsoft.DataProtection"
    return [f"{vault}/backupVaults/{VAULT}/backupInstances/{instance_name(number)}" for number in range(count)]


def put_failing(simulator: Simulator, ids: Sequence[str], **behaviour: object) -> None:
    """Instances in ProtectionError that a sync heals."""
    simulator.control("PUT", "instances", [{"id": one, "behaviour": behaviour} for one in ids])


def deliver(host: Host, ids: Sequence[str]) -> None:
    """Post the failures of all these backups as Event Grid does: in one batch, answered when all are taken."""
    answer = host.post_event(*map(failure_event, ids), timeout=300)
    if not answer.ok:
        raise host.service.failure(f"refused the events with {answer.status_code}: {answer.text[:500]}")


def next_request(simulator: Simulator) -> int:
    """The number that the next request to the simulated Azure will have."""
    return int(simulator.control("GET", f"requests?since={_NO_REQUEST}").json()["next"])


def arm_calls(simulator: Simulator, since: int, more: Set[str] = frozenset()) -> Counter[str]:
    """Calls to Resource Manager since that request, by kind: those of a heal, and more kinds."""
    kinds = _ARM_KINDS | more
    return Counter(entry["kind"] for entry in simulator.request_log(since) if entry["kind"] in kinds)


class LogTail:
    """The lines that the host has logged since this was made, the app's included."""

    def __init__(self, log: Path) -> None:
        """Begin at the log's present end."""
        self._log = log
        self._begin = log.stat().st_size

    def lines(self) -> str:
        """All lines so far, in one text."""
        with self._log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def count(self, text: str) -> int:
        """How often this text was logged."""
        return self.lines().count(text)

    def poll_runs(self, function: str = "poll_operations") -> list[tuple[datetime, int]]:
        """When each run of the timer (or of `poll_shard`) that has ended began, and its milliseconds."""
        return list(_ended(self.lines(), function))

    def is_running(self, function: str) -> bool:
        """Whether an invocation of the function has begun and not ended."""
        lines = self.lines()
        return lines.count(f"Executing 'Functions.{function}'") > lines.count(f"Executed 'Functions.{function}'")


def _ended(lines: str, wanted: str) -> Iterator[tuple[datetime, int]]:
    began: dict[str, datetime] = {}
    for at, what, function, invocation, duration in _INVOCATION.findall(lines):
        if what == "Executing" and function == wanted:
            began[invocation] = datetime.fromisoformat(at)
        elif invocation in began:
            yield began.pop(invocation), int(duration)


def wait_until(stack: Stack, condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Poll until the condition is true; raises Failure, with the end of the host's log, if it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        if not stack.host.service.running:
            raise stack.host.service.failure("has ended by itself")
        if time.monotonic() > deadline:
            raise stack.host.service.failure(f"has after {seconds:.0f} s still not {what}")
        time.sleep(_POLL_INTERVAL)  # the state of another process can only be polled
