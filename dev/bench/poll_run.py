"""The poll run: many remediations in flight, all due at one moment, and none due; and the host's memory with them.

The limit is set by latency: in flight x latency / concurrency. Each poll of "all due" reads the remediation, asks
Azure about its operation and stores when to poll next.
"""

import statistics
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from dev.bench.context import (
    LATENCY_SECONDS,
    UNPACED,
    Context,
    Json,
    Part,
    ResultRow,
    busy_cores,
    median_of,
    memory_mib,
)
from dev.bench.seeding import Seeding
from dev.bench.workload import LogTail, next_request, wait_until
from dev.processes.errors import Failure
from dev.stack.stack import Stack

_CONCURRENCY = 32
_SIZES = (100, 1_000, 10_000)
_QUICK_SIZES = (200,)
_BUSY_SIZE = 1_000
"""Polled once more with every core busy, to see whether what takes longer takes longer in proportion."""
_QUICK_BUSY_SIZE = 200
_IDLE_RUNS = 6
_TIMEOUT = 300
"""Seconds."""
_MIN_SHARE = 0.8
_MAX_IDLE_MS = 100
_SETTINGS = {"POLL_CONCURRENCY": str(_CONCURRENCY), **UNPACED}


def measure(context: Context) -> Json:
    """Every size on a fresh stack, so that memory and storage hold nothing of another one."""
    sizes, busy_size = (_QUICK_SIZES, _QUICK_BUSY_SIZE) if context.quick else (_SIZES, _BUSY_SIZE)
    in_flight = {str(size): _runs(context, size) for size in sizes}
    with busy_cores(context.python):
        beside_busy = _runs(context, busy_size)
    return {
        "concurrency": _CONCURRENCY,
        "latencySeconds": LATENCY_SECONDS,
        "inFlight": in_flight,
        "besideBusyCores": {str(busy_size): beside_busy},
    }


def _runs(context: Context, size: int) -> Json:
    return median_of([_run(context, size, run) for run in range(1, context.runs + 1)])


def _run(context: Context, size: int, run: int) -> Json:
    # All are to be due at one moment, and how long it takes to write them, the machine decides.
    for seconds_each in (0.004, 0.012, 0.036):
        context.say(f"poll run with {size:,} in flight, run {run} of {context.runs}")
        with context.stack(**_SETTINGS) as stack:
            measured = _measured(stack, size, timedelta(seconds=6 + size * seconds_each))
        if measured is not None:
            return measured
    raise Failure(f"The machine is too busy: {size:,} rows took too long to write.")


def _measured(stack: Stack, size: int, time_to_write: timedelta) -> Json | None:
    """None if the time was too short."""
    pid = stack.host.service.process.pid
    seeding = Seeding(stack)
    idle_mib = memory_mib(pid)
    log, first = LogTail(stack.host.service.log), next_request(stack.simulator)
    due_at = datetime.now(UTC).replace(microsecond=0) + time_to_write
    seeding.add(size, due_at)
    if datetime.now(UTC) > due_at - timedelta(seconds=1):
        return None
    wait_until(stack, lambda: next_request(stack.simulator) - first >= size, f"polled {size}", _TIMEOUT)
    ended = datetime.now(UTC)
    # The answers to the last polls are still being stored: by the timer's run, or by the shards that it handed over.
    wait_until(stack, lambda: _is_over(log, ended), "ended the poll run", _TIMEOUT)
    began = min(at for at, _ in log.poll_runs() if at >= due_at)
    work = [(at, ms) for at, ms in log.poll_runs() + log.poll_runs("poll_shard") if began <= at <= ended]
    stored = max(at + timedelta(milliseconds=ms) for at, ms in work)
    polls = [entry for entry in stack.simulator.request_log(first) if entry["kind"] == "operationStatus"]
    last = max(datetime.fromisoformat(entry["at"]) for entry in polls)
    seconds = (last - began).total_seconds() + LATENCY_SECONDS
    limit = size * LATENCY_SECONDS / _CONCURRENCY
    return {
        "seconds": round(seconds, 3),
        "limitSeconds": round(limit, 3),
        "shareOfLimit": round(limit / seconds, 3),
        "storedSeconds": round((stored - began).total_seconds(), 3),
        "callsEach": len(polls) / size,
        "noneDueMs": _none_due(stack),
        "idleMiB": idle_mib,
        "memoryMiB": memory_mib(pid),
    }


def _is_over(log: LogTail, polled_at: datetime) -> bool:
    return any(began > polled_at for began, _ in log.poll_runs()) and not log.is_running("poll_shard")


def _none_due(stack: Stack) -> float:
    """Milliseconds of a poll run that finds nothing to do, as the host logs them."""
    log = LogTail(stack.host.service.log)
    wait_until(stack, lambda: len(log.poll_runs()) >= _IDLE_RUNS, "polled", _TIMEOUT)
    return statistics.median(ms for _, ms in log.poll_runs())


def rows(numbers: Json) -> Iterable[ResultRow]:
    """For the table; the goals are for the largest size of a whole run."""
    for size, found in numbers["inFlight"].items():
        graded, share = int(size) == _SIZES[-1], found["shareOfLimit"]
        yield ResultRow(
            f"poll run, {int(size):,} due: until all are polled",
            f"{found['seconds']:.2f} s",
            f"limit {found['limitSeconds']:.2f} s",
        )
        yield ResultRow("  until all is stored", f"{found['storedSeconds']:.2f} s")
        yield ResultRow(
            "  share of the limit",
            f"{share:.0%}",
            goal=f"{_MIN_SHARE:.0%}" if graded else "",
            reached=share >= _MIN_SHARE if graded else None,
        )
        yield ResultRow(
            f"poll run, {int(size):,} in flight, none due",
            f"{found['noneDueMs']:.0f} ms",
            goal=f"{_MAX_IDLE_MS} ms" if graded else "",
            reached=found["noneDueMs"] <= _MAX_IDLE_MS if graded else None,
        )
        yield ResultRow(
            "  memory of the host with them", f"{found['memoryMiB']:.0f} MiB", f"before {found['idleMiB']:.0f} MiB"
        )

    for size, busy in numbers.get("besideBusyCores", {}).items():
        quiet = numbers["inFlight"][size]
        for what, key in (("polled", "seconds"), ("stored", "storedSeconds")):
            yield ResultRow(
                f"poll run, {int(size):,} due, beside a busy process for each core: until all are {what}",
                f"{busy[key]:.2f} s",
                f"without {quiet[key]:.2f} s",
            )


def plot(numbers: Json, figure: Any) -> None:
    """The time of a poll run by the number that is due, beside the limit; and by the number that is not due."""
    sizes = [int(size) for size in numbers["inFlight"]]
    found = list(numbers["inFlight"].values())
    due, idle, memory = figure.subplots(1, 3)
    due.loglog(sizes, [one["seconds"] for one in found], "o-", label="all polled")
    due.loglog(sizes, [one["limitSeconds"] for one in found], "--", label="limit of the latency")
    due.set_title("all due: seconds")
    due.legend()
    idle.semilogx(sizes, [one["noneDueMs"] for one in found], "o-")
    idle.set_ylim(bottom=0)
    idle.set_title("none due: ms")
    memory.semilogx(sizes, [one["memoryMiB"] for one in found], "o-")
    memory.set_ylim(bottom=0)
    memory.set_title("memory of the host: MiB")
    for axes in (due, idle, memory):
        axes.set_xlabel("in flight")


PART = Part("tick", measure, rows, plot)  # the name that earlier bench.json files have
