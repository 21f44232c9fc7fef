"""`python3 -m dev demo` and `up`: the local stack, and the heal of one failed backup instance on it."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from dev.demo import examples
from dev.demo.stories import BEHAVIOUR, INSTANCE, STORIES, VAULT, Story
from dev.demo.terminal import TimelineView, print_guide, print_plain, print_summary
from dev.demo.timeline import Timeline
from dev.processes.interrupts import Interrupted
from dev.processes.service import tail
from dev.setup.node import STATE, Node
from dev.stack.failure_event import failure_event
from dev.stack.services import Json
from dev.stack.stack import Stack, core_tools, new_directory

_SPARE_INSTANCES = (f"{VAULT}/backupInstances/disk-1", f"{VAULT}/backupInstances/disk-2")
_STORY_TIMEOUT = 120
_POLL_INTERVAL = 0.1


def demo(options: argparse.Namespace, node: Node, environment: Mapping[str, str]) -> int:
    """Tell a story, shown live; returns 0 only if it ends well and its outcome events came."""
    console = Console(stderr=options.json)
    story = STORIES[options.story]
    stack = _stack("demo", options.host, node, environment, story.settings)
    began = time.monotonic()
    with _running(stack, console):
        seconds_to_start = time.monotonic() - began
        story.prepare(stack)
        timeline = _tell(story, stack, TimelineView(console))
        print_summary(console, timeline, seconds_to_start)
        if options.json:
            print(json.dumps(_result(timeline)), flush=True)
        if not timeline.succeeded:
            print_plain(console, _failure_report(timeline, stack))
        if options.keep:
            with console.status("Filling the page with an example of every status, in less than a minute ..."):
                examples.seed(stack, story.settings)
            _serve(console, stack)
        elif timeline.succeeded:
            print_plain(console, "\nTo look at it on the app's page: python3 -m dev demo --keep")
    return 0 if timeline.succeeded else 1


def up(options: argparse.Namespace, node: Node, environment: Mapping[str, str]) -> int:
    """Run the stack until a signal ends it; returns 0, or raises Failure when a service ends by itself."""
    console = Console()
    stack = _stack("up", options.host, node, environment)
    with _running(stack, console):
        _serve(console, stack)
    return 0


def _stack(
    command: str,
    host: str,
    node: Node,
    environment: Mapping[str, str],
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Stack:
    func = core_tools(host, environment)
    directory = new_directory(STATE / "runs", command)
    return Stack(directory, node.azurite, sys.executable, environment, func, **settings)


@contextmanager
def _running(stack: Stack, console: Console) -> Iterator[None]:
    """The stack in a `with` block: its start is shown, its data removed at the end; the logs stay."""
    try:
        with console.status("Starting Azurite, a simulated Azure and a Functions host ..."):
            stack.start()
        yield
    finally:
        stack.stop()
        stack.remove_data()


def _tell(story: Story, stack: Stack, view: TimelineView) -> Timeline:
    log = _LogReader(stack.host.service.log)
    log.new_lines()
    seen = len(stack.simulator.request_log())
    timeline = story.timeline(INSTANCE, datetime.now(UTC))
    with view.shown():
        answer = story.signal(stack)
        if not answer.ok:
            raise stack.host.service.failure(f"refused the signal with {answer.status_code}: {answer.text[:500]}")
        deadline = time.monotonic() + _STORY_TIMEOUT
        while not timeline.is_complete and time.monotonic() < deadline:
            timeline.read_log(log.new_lines())
            requests = stack.simulator.request_log(seen + len(timeline.requests))
            timeline.read_azure(requests, stack.simulator.events())
            view.update(timeline)
            story.act(stack, timeline)
            _check(stack)
            time.sleep(_POLL_INTERVAL)  # the state of another process can only be polled
    return timeline


class _LogReader:
    """Hands out the lines of a growing file, each once and whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_lines(self) -> list[str]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        return whole.decode(errors="replace").splitlines()


def _check(stack: Stack) -> None:
    for service in stack.services:
        if not service.running:
            raise service.failure("has ended by itself")


def _result(timeline: Timeline) -> Json:
    kinds = timeline.arm_calls_by_kind()
    return {
        "status": timeline.status,
        "remediationId": timeline.remediation_id,
        "signalToSyncSeconds": _rounded(timeline.seconds_to_sync()),
        "totalSeconds": _rounded(timeline.seconds_to_outcome()),
        "armCalls": sum(kinds.values()),
        "armCallsByKind": kinds,
        "outcomeEvents": len(timeline.events),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _failure_report(timeline: Timeline, stack: Stack) -> str:
    missing = [each.title for each in timeline.milestones() if each.seconds is None]
    if not timeline.has_ended:
        what = f"Not ended within {_STORY_TIMEOUT} s; still to come: {', '.join(missing)}."
    elif not timeline.events:
        what = f"{timeline.status} ({timeline.reason}), but no outcome event came within {_STORY_TIMEOUT} s."
    else:
        what = f"The instance was not healed: {timeline.status}, {timeline.reason}."
    return f"\n{what}\n{tail(stack.host.service.log)}"


def _serve(console: Console, stack: Stack) -> None:
    """Wait for Ctrl-C or SIGTERM, the normal end; raises Failure if a service ends before that."""
    try:
        _guide(console, stack)
        while True:
            _check(stack)
            time.sleep(1)  # a service that ends by itself is noticed within a second, and a signal ends the wait
    except Interrupted:
        # After SIGHUP there is no terminal any more.
        with suppress(OSError):
            print_plain(console, "Stopping ...")


def _guide(console: Console, stack: Stack) -> None:
    # One to be healed on request and one for the event: after the first of the two, an instance cools down.
    requested, signalled = _SPARE_INSTANCES
    for instance in _SPARE_INSTANCES:
        stack.simulator.put_instance(instance, behaviour=BEHAVIOUR)
    event_file = stack.directory / "event.json"
    event_file.write_text(json.dumps([failure_event(signalled)], indent=2), encoding="utf-8")
    print_guide(console, stack, requested, str(event_file))
