"""Pacing: very many failures in one subscription, two hosts, and Resource Manager's own bucket in front of them.

Buckets run at their true speed: 200 sync calls at once and 10 more each second, in the simulated Azure and in
the app's settings alike. The best possible time is what is left of the failures after the burst, at that speed.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dev.bench.context import UNPACED_READS, Context, Json, Part, ResultRow
from dev.bench.workload import deliver, instance_ids, next_request, put_failing, wait_until
from dev.processes.service import stop_all
from dev.stack.services import Host
from dev.stack.stack import Stack

_FAILURES = 2_000
_QUICK_FAILURES = 300
_BURST, _PER_SECOND = 200, 10
_MAX_RATIO = 1.05
_MAX_REFUSED = 0.01
_BATCH_SIZE = 100
"""Events in one delivery."""


def measure(context: Context) -> Json:
    """One run: it takes three minutes, which the buckets dictate."""
    failures = _QUICK_FAILURES if context.quick else _FAILURES
    context.say(f"pacing, {failures:,} failures in one subscription on two hosts")
    with context.stack(**UNPACED_READS) as stack, _second_host(context, stack) as second:
        stack.simulator.control("PUT", "settings", {"writeBurst": _BURST, "writesPerSecond": _PER_SECOND})
        ids = instance_ids(str(uuid.uuid4()), failures)
        put_failing(stack.simulator, ids, operationSeconds=1, retryAfter=1)
        before = next_request(stack.simulator)
        for number, begin in enumerate(range(0, failures, _BATCH_SIZE)):
            deliver((stack.host, second)[number % 2], ids[begin : begin + _BATCH_SIZE])
        syncs = _Syncs(stack, before)
        at_best = (failures - _BURST) / _PER_SECOND
        wait_until(stack, lambda: syncs.accepted() >= failures, "had every sync accepted", 60 + 2 * at_best)
    return {"failures": failures, "atBestSeconds": at_best, **syncs.summary()}


class _Syncs:
    """The sync calls since a request, each read from the request log once."""

    def __init__(self, stack: Stack, since: int) -> None:
        self._stack = stack
        self._next = since
        self._times: list[datetime] = []
        self._refused = 0

    def accepted(self) -> int:
        """How many were accepted so far."""
        fresh = self._stack.simulator.request_log(self._next)
        self._next += len(fresh)
        for entry in fresh:
            if entry["kind"] == "sync" and entry["status"] == 202:
                self._times.append(datetime.fromisoformat(entry["at"]))
            elif entry["kind"] == "sync":
                self._refused += 1
        return len(self._times)

    def summary(self) -> Json:
        return {
            "seconds": round((max(self._times) - min(self._times)).total_seconds(), 2),
            "refused": self._refused,
            "calls": len(self._times) + self._refused,
        }


@contextmanager
def _second_host(context: Context, stack: Stack) -> Iterator[Host]:
    directory = Path(stack.directory) / "second"
    directory.mkdir(mode=0o700)
    host = Host(context.python, None, context.environment, directory)
    try:
        host.start({**stack.app_settings(), "NO_PROXY": "localhost,127.0.0.1"})
        host.wait()
        yield host
    finally:
        stop_all([host.service])


def rows(numbers: Json) -> Iterable[ResultRow]:
    """The time as a multiple of the buckets' own, and the share of calls that were refused."""
    ratio, wasted = numbers["seconds"] / numbers["atBestSeconds"], numbers["refused"] / numbers["calls"]
    yield ResultRow(
        f"{numbers['failures']:,} failures in one subscription, two hosts: all syncs accepted",
        f"{numbers['seconds']:.1f} s",
        f"at best {numbers['atBestSeconds']:.0f} s",
    )
    yield ResultRow("  beside the best", f"{ratio:.3f} x", goal=f"{_MAX_RATIO} x", reached=ratio <= _MAX_RATIO)
    yield ResultRow(
        "  calls refused with 429", f"{wasted:.2%}", goal=f"{_MAX_REFUSED:.0%}", reached=wasted <= _MAX_REFUSED
    )


def plot(numbers: Json, figure: Any) -> None:
    """The time that it took, beside the best."""
    axes = figure.subplots()
    axes.bar(["this app", "at best"], [numbers["seconds"], numbers["atBestSeconds"]])
    axes.set_title(f"{numbers['failures']:,} failures in one subscription: seconds until all syncs are accepted")


PART = Part("pacing", measure, rows, plot)
