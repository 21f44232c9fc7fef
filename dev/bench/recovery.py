"""Per instance whose nightly backup failed: calls, processor time and wall time until it has a new recovery point.

With `RECOVERY=Watch` the point is there when the app looks for it first; with `Backup` the app takes the backup.
"""

import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from dev.bench.context import UNPACED, Context, Json, Part, ResultRow, cpu_seconds, median_of
from dev.bench.workload import LogTail, arm_calls, deliver, instance_ids, next_request, wait_until
from dev.stack.stack import Stack

_COUNT = 100
_QUICK_COUNT = 16
_MODES = ("Watch", "Backup")
_BEHAVIOUR = {"operationSeconds": 0, "retryAfter": 1, "backupSeconds": 0}
_KINDS = frozenset({"policy", "recoveryPoints", "backup", "job", "graph"})
"""Calls of a recovery, beside those of the heal."""


def measure(context: Context) -> Json:
    """Each mode in turn, on a stack of its own."""
    count = _QUICK_COUNT if context.quick else _COUNT
    return {"instances": count, **{mode: _mode(context, mode, count) for mode in _MODES}}


def _mode(context: Context, mode: str, count: int) -> Json:
    with context.stack(**UNPACED, RECOVERY=mode) as stack:
        runs = []
        for run in range(1, context.runs + 1):
            context.say(f"{count} failed backups, RECOVERY={mode}, run {run} of {context.runs}")
            runs.append(_recover(stack, mode, count))
        return median_of(runs)


def _recover(stack: Stack, mode: str, count: int) -> Json:
    """From the first event until the last recovery is over."""
    ids = instance_ids(str(uuid.uuid4()), count)
    now = datetime.now(UTC)
    points = [now - timedelta(days=1), *([now + timedelta(minutes=1)] if mode == "Watch" else [])]
    shown = {
        "protectionState": "ProtectionConfigured",
        "behaviour": _BEHAVIOUR,
        "recoveryPoints": [point.isoformat() for point in points],
    }
    stack.simulator.control("PUT", "instances", [{"id": one, **shown} for one in ids])
    before, log = next_request(stack.simulator), LogTail(stack.host.service.log)
    pid = stack.host.service.process.pid
    began, cpu = time.perf_counter(), cpu_seconds(pid)
    deliver(stack.host, ids)
    wait_until(stack, lambda: log.count('"to": "Recovered"') >= count, "recovered all instances", 300)
    seconds, used = time.perf_counter() - began, cpu_seconds(pid) - cpu
    return {
        "seconds": round(seconds, 3),
        "cpuMs": round(used / count * 1000, 2),
        "calls": arm_calls(stack.simulator, before, _KINDS).total() / count,
    }


def rows(numbers: Json) -> Iterable[ResultRow]:
    """For the table."""
    for mode in _MODES:
        found = numbers[mode]
        yield ResultRow(f"{numbers['instances']} failed backups, RECOVERY={mode}: wall", f"{found['seconds']:.1f} s")
        yield ResultRow("  processor time of each", f"{found['cpuMs']:.1f} ms")
        yield ResultRow("  Resource Manager and Resource Graph calls of each", f"{found['calls']:.1f}")


def plot(numbers: Json, figure: Any) -> None:
    """Wall time, processor time and calls of the two modes beside each other."""
    titles = {"seconds": "seconds", "cpuMs": "processor time for each: ms", "calls": "calls for each"}
    for axes, (key, title) in zip(figure.subplots(1, len(titles)), titles.items(), strict=True):
        bars = axes.bar(_MODES, [numbers[mode][key] for mode in _MODES], 0.5)
        axes.bar_label(bars, fmt="%.1f")
        axes.set_title(title)
        axes.margins(y=0.12)  # room for the numbers on the bars


PART = Part("recovery", measure, rows, plot)
