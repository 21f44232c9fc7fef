"""Per healed instance: calls, processor time and wall time; the SDK's poller beside this app on one host.

The app's processor time is that of the host's whole process: with it the intake, all storage, the outcome event,
and the work of the host itself and its queue listener, which in Azure is not the app's. That part is measured with
an app that does nothing on the same two triggers.
"""

import json
import shutil
import time
import uuid
from collections.abc import Iterable
from typing import Any

from dev.bench.context import UNPACED, Context, Json, Part, ResultRow, cpu_seconds, median_of
from dev.bench.workload import LogTail, arm_calls, deliver, instance_ids, next_request, put_failing, wait_until
from dev.processes.service import PROJECT, Service
from dev.stack.services import Host
from dev.stack.stack import Stack

_COUNT = 300
_QUICK_COUNT = 32
_THREADS = 32
_CASES = ((2, 1), (10, 5))
"""Seconds of an operation, and its Retry-After."""
_MAX_SECONDS = {2: 12.0, 10: 25.0}
"""By the seconds of an operation."""
_MAX_CPU_MS = 20.0
_MAX_CALLS = 4.0
_WARM_UP_COUNT = 32

_IDLE_APP = """
import azure.functions as func

app = func.FunctionApp()
STORAGE = "AzureWebJobsStorage"


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE)
def on_backup_failure(event: func.EventGridEvent, jobs: func.Out[str]) -> None:
    jobs.set(event.id)


@app.queue_trigger(arg_name="message", queue_name="sync-jobs", connection=STORAGE)
def submit_sync(message: func.QueueMessage) -> None:
    message.get_body()
"""


def measure(context: Context) -> Json:
    """Both sides of each case, in turn, so that both meet the same load of the machine."""
    count = _QUICK_COUNT if context.quick else _COUNT
    with context.stack(**UNPACED) as stack:
        _heal(stack, _WARM_UP_COUNT, 0, 0)
        cases = {f"{operation}s": _case(context, stack, count, operation, again) for operation, again in _CASES}
        host = median_of([_idle(context, stack, count, run) for run in range(context.runs)])
    return {"instances": count, "sdkThreads": _THREADS, **cases, "hostAlone": host}


def _case(context: Context, stack: Stack, count: int, operation: float, again: float) -> Json:
    sdk, ours = [], []
    for run in range(1, context.runs + 1):
        context.say(f"{count} instances, operations of {operation} s, run {run} of {context.runs}")
        sdk.append(_sdk(context, stack, count, operation, again))
        ours.append(_heal(stack, count, operation, again))
    return {"sdk": median_of(sdk), "app": median_of(ours)}


def _sdk(context: Context, stack: Stack, count: int, operation: float, again: float) -> Json:
    subscription = str(uuid.uuid4())
    put_failing(stack.simulator, instance_ids(subscription, count + 1), operationSeconds=operation, retryAfter=again)
    before = next_request(stack.simulator)
    peer = Service("The SDK's poller", stack.directory / "logs" / "sdk.log")
    arguments = [stack.simulator.url, subscription, str(count), str(_THREADS)]
    peer.start(
        [context.python, "-m", "dev.bench.sdk_baseline", *arguments], {**context.environment, **stack.app_settings()}
    )
    try:
        output: str = peer.wait(lambda: peer.output() if peer.output().endswith("\n") else None, seconds=600)
    finally:
        peer.stop()
    calls = arm_calls(stack.simulator, before)
    calls["instance"] -= _THREADS  # made to open the connections
    result: Json = json.loads(output)
    return {**result, "calls": calls.total() / count}


def _heal(stack: Stack, count: int, operation: float, again: float) -> Json:
    """From the first event until the last outcome was taken by the topic."""
    ids = instance_ids(str(uuid.uuid4()), count)
    put_failing(stack.simulator, ids, operationSeconds=operation, retryAfter=again)
    before, log = next_request(stack.simulator), LogTail(stack.host.service.log)
    pid = stack.host.service.process.pid
    began, cpu = time.perf_counter(), cpu_seconds(pid)
    deliver(stack.host, ids)
    taken = time.perf_counter() - began
    wait_until(stack, lambda: log.count('"outcome.published"') >= count, "published all outcomes", 300)
    seconds, used = time.perf_counter() - began, cpu_seconds(pid) - cpu
    healed = log.count('"to": "Healed"')
    if healed != count:
        raise stack.host.service.failure(f"has healed {healed} of {count} instances")
    return {
        "seconds": round(seconds, 3),
        "cpuMs": round(used / count * 1000, 2),
        "calls": arm_calls(stack.simulator, before).total() / count,
        "intakeSeconds": round(taken, 3),
    }


def _idle(context: Context, stack: Stack, count: int, run: int) -> Json:
    """Processor time of the host itself: one event and one message for each instance, and an app that is idle."""
    directory = stack.directory / f"idle-{run}"
    app = directory / "app"
    app.mkdir(parents=True)
    (app / "function_app.py").write_text(_IDLE_APP, encoding="utf-8")
    shutil.copy(PROJECT / "host.json", app)
    host = Host(context.python, None, context.environment, directory, app)
    # The app's own host would take the messages, or this one its.
    stack.host.service.stop()
    host.start(stack.app_settings())
    try:
        host.wait()
        deliver(host, instance_ids(str(uuid.uuid4()), _WARM_UP_COUNT))
        _wait_for_messages(host, _WARM_UP_COUNT)
        cpu = cpu_seconds(host.service.process.pid)
        deliver(host, instance_ids(str(uuid.uuid4()), count))
        _wait_for_messages(host, _WARM_UP_COUNT + count)
        used = cpu_seconds(host.service.process.pid) - cpu
    finally:
        host.stop()
    return {"cpuMs": round(used / count * 1000, 2)}


def _wait_for_messages(host: Host, count: int) -> None:
    executed = "Executed 'Functions.submit_sync'"

    def all_done() -> bool | None:
        log = host.service.log.read_text(encoding="utf-8", errors="replace")
        return True if log.count(executed) >= count else None

    host.service.wait(all_done, seconds=120)


def rows(numbers: Json) -> Iterable[ResultRow]:
    """For the table."""
    count = numbers["instances"]
    for operation, _ in _CASES:
        app, sdk = numbers[f"{operation}s"]["app"], numbers[f"{operation}s"]["sdk"]
        wall = _MAX_SECONDS[operation]
        yield _row(count, f"{count} instances, operations of {operation} s: wall", "seconds", app, sdk, wall, "s")
        yield _row(count, "  processor time of each", "cpuMs", app, sdk, _MAX_CPU_MS, "ms")
        yield _row(count, "  Resource Manager calls of each", "calls", app, sdk, _MAX_CALLS, "")
    yield ResultRow("  of the processor time, the local host's own", f"{numbers['hostAlone']['cpuMs']:.1f} ms")


def _row(count: int, what: str, key: str, app: Json, sdk: Json, goal: float, unit: str) -> ResultRow:
    ours, beside = (f"{side[key]:.1f} {unit}".strip() for side in (app, sdk))
    if count != _COUNT:
        return ResultRow(what, ours, beside)
    return ResultRow(what, ours, beside, f"{goal:.0f} {unit}".strip(), app[key] <= goal)


def plot(numbers: Json, figure: Any) -> None:
    """Wall and processor time, the two sides beside each other."""
    cases = [f"{operation}s" for operation, _ in _CASES]
    titles = {
        "seconds": f"{numbers['instances']} instances: seconds",
        "cpuMs": "processor time for each: ms",
        "calls": "calls for each",
    }
    for axes, (key, title) in zip(figure.subplots(1, len(titles)), titles.items(), strict=True):
        for shift, side in ((-0.2, "sdk"), (0.2, "app")):
            places = [place + shift for place in range(len(cases))]
            bars = axes.bar(places, [numbers[case][side][key] for case in cases], 0.38, label=side)
            axes.bar_label(bars, fmt="%.1f")
        axes.set_xticks(range(len(cases)), [f"operations of {case.removesuffix('s')} s" for case in cases])
        axes.set_title(title)
        axes.margins(y=0.12)  # room for the numbers on the bars
    figure.legend(["SDK poller", "this app"], loc="outside lower center", ncols=2)


PART = Part("heal", measure, rows, plot)
