"""The parts of the benchmark, the context that each is given, and measurements of a process from outside."""

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from dev.processes.errors import Failure
from dev.stack.services import IN_MEMORY
from dev.stack.stack import Stack

Json = dict[str, Any]

LATENCY_SECONDS = 0.05
"""Of each answer of the simulated Azure."""
UNPACED_READS = {"ARM_READ_BURST": "100000", "ARM_READS_PER_SECOND": "100000"}
UNPACED = {"ARM_WRITE_BURST": "100000", "ARM_WRITES_PER_SECOND": "100000", **UNPACED_READS}
"""Pacing has a part of its own; elsewhere the app runs as freely as the SDK's poller, which has none."""
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ResultRow:
    """One line of the table: a number, another one beside it, and the goal."""

    what: str
    ours: str
    beside: str = ""
    goal: str = ""
    reached: bool | None = None
    """None where there is no goal."""


@dataclass(frozen=True)
class Part:
    """One of the measurements that the benchmark consists of."""

    name: str
    """Its key in the JSON file, and the name of its plot."""
    measure: Callable[["Context"], Json]
    rows: Callable[[Json], Iterable[ResultRow]]
    plot: Callable[[Json, Any], None]
    """Draws the numbers into a matplotlib figure."""


@dataclass(frozen=True)
class Context:
    """The options of this run of the benchmark, and fresh stacks to measure on."""

    directory: Path
    azurite: Sequence[str]
    python: str
    environment: Mapping[str, str]
    runs: int
    quick: bool
    say: Callable[[str], None]
    """Shows a person what is being measured."""
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def stack(self, **settings: str) -> Iterator[Stack]:
        """A fresh stack whose app has these settings besides its own; its logs stay only after a failure."""
        directory = self.directory / f"stack-{next(self._numbers)}"
        directory.mkdir(mode=0o700)
        # In Azure nobody writes the whole table to the disk again and again beside the app.
        azurite = [*self.azurite, IN_MEMORY]
        stack = Stack(directory, azurite, self.python, self.environment, **settings)
        try:
            with stack:
                stack.simulator.control("PUT", "settings", {"latencySeconds": LATENCY_SECONDS})
                yield stack
        finally:
            stack.remove_data()
        shutil.rmtree(directory)


def check_system() -> None:
    """Raise Failure where processes cannot be measured as is done here."""
    if not Path("/proc/self/stat").exists():
        raise Failure("The benchmark reads processor time and memory from /proc, which only Linux has.")


def cpu_seconds(pid: int) -> float:
    """Processor time, user and system, that the process has used so far (proc(5): fields 14 and 15)."""
    # The name, in parentheses, may hold spaces: what follows it is what can be counted.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def memory_mib(pid: int) -> float:
    """Resident memory of the process now."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise Failure(f"process {pid} shows no memory: it has ended")


def machine() -> Json:
    """The machine that the numbers were measured on; the load tells whether others worked there too."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "load": load(),
    }


def load() -> float:
    """Processes that ran or wanted to, on average over the last minute."""
    return round(os.getloadavg()[0], 2)


@contextmanager
def busy_cores(python: str) -> Iterator[None]:
    """Beside what is measured, each core has another process that never rests, at the same priority."""
    others = [subprocess.Popen([python, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def median_of(runs: Sequence[Json]) -> Json:
    """The median of each number over the runs, and every run below `runs`."""
    numbers = [key for key, value in runs[0].items() if isinstance(value, int | float)]
    medians: Json = {key: round(statistics.median(run[key] for run in runs), 3) for key in numbers}
    return {**medians, "runs": list(runs)}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
