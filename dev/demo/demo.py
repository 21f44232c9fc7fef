"""`python3 -m dev demo` and `up`: the local stack, and the story of one failed backup on it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from dev.demo.terminal import StoryView, print_guide, print_plain, print_summary
from dev.demo.timeline import Story
from dev.processes.interrupts import Interrupted
from dev.processes.service import tail
from dev.setup.node import STATE, Node
from dev.stack.failure_event import failure_event
from dev.stack.services import Json
from dev.stack.stack import Stack, core_tools, new_directory

_SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
_VAULT = (
    f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg-demo/providers/Microsoft.DataProtection/backupVaults/vault-demo"
)
_STORY_INSTANCE = f"{_VAULT}/backupInstances/disk-demo"
_SPARE_INSTANCES = (f"{_VAULT}/backupInstances/disk-1", f"{_VAULT}/backupInstances/disk-2")
_BEHAVIOUR = {"operationSeconds": 2, "retryAfter": 1}
_STORY_SECONDS = 60
_LOOK_SECONDS = 0.1


def demo(options: argparse.Namespace, node: Node, environment: Mapping[str, str]) -> int:
    """Tell the story; returns 0 only if the instance is Healed and the outcome event came."""
    console = _console(stderr=options.json)
    stack = _stack("demo", options.host, node, environment)
    began = time.monotonic()
    with _Running(stack, console):
        seconds_to_start = time.monotonic() - began
        stack.simulator.put_instance(_STORY_INSTANCE, behaviour=_BEHAVIOUR)
        story = _tell(stack, StoryView(console))
        print_summary(console, story, seconds_to_start)
        if options.json:
            print(json.dumps(_result(story)), flush=True)
        if not story.healed:
            print_plain(console, _what_is_wrong(story, stack))
        if options.keep:
            _serve(console, stack)
    return 0 if story.healed else 1


def up(options: argparse.Namespace, node: Node, environment: Mapping[str, str]) -> int:
    """Run the stack until a signal ends it; returns 0, or raises Failure when a service ends by itself."""
    console = _console(stderr=False)
    stack = _stack("up", options.host, node, environment)
    with _Running(stack, console):
        _serve(console, stack)
    return 0


def _console(stderr: bool) -> Console:
    return Console(stderr=stderr)


def _stack(command: str, host: str, node: Node, environment: Mapping[str, str]) -> Stack:
    func = core_tools(host, environment)
    directory = new_directory(STATE / "runs", command)
    return Stack(directory, node.azurite, sys.executable, environment, func)


class _Running:
    """The stack in a `with` block, its start shown, its data removed at the end; the logs stay."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console

    def __enter__(self) -> Stack:
        with self._console.status("Starting Azurite, a simulated Azure and a Functions host ..."):
            return self._stack.__enter__()

    def __exit__(self, *error: object) -> None:
        self._stack.stop()
        self._stack.remove_data()


def _tell(stack: Stack, view: StoryView) -> Story:
    log = _LogReader(stack.host.service.log)
    log.new_lines()
    seen = len(stack.simulator.journal())
    story = Story(_STORY_INSTANCE, datetime.now(UTC))
    with view.shown():
        answer = stack.host.post_event(failure_event(_STORY_INSTANCE))
        if not answer.ok:
            raise stack.host.service.failure(f"refused the event with {answer.status_code}: {answer.text[:500]}")
        deadline = time.monotonic() + _STORY_SECONDS
        while not story.is_told and time.monotonic() < deadline:
            story.read_log(log.new_lines())
            story.read_azure(stack.simulator.journal(seen + len(story.requests)), stack.simulator.events())
            view.update(story)
            _check(stack)
            time.sleep(_LOOK_SECONDS)  # a look from outside: nothing tells when it is so
    return story


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


def _result(story: Story) -> Json:
    kinds = story.arm_calls_by_kind()
    return {
        "status": story.status,
        "remediationId": story.remediation_id,
        "signalToSyncSeconds": _rounded(story.seconds_to_sync()),
        "totalSeconds": _rounded(story.seconds_to_outcome()),
        "armCalls": sum(kinds.values()),
        "armCallsByKind": kinds,
        "outcomeEvents": len(story.events),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _what_is_wrong(story: Story, stack: Stack) -> str:
    missing = [step.title for step in story.steps() if step.seconds is None]
    if not story.has_ended:
        what = f"Not ended within {_STORY_SECONDS} s; still to come: {', '.join(missing)}."
    elif not story.events:
        what = f"{story.status} ({story.reason}), but no outcome event came within {_STORY_SECONDS} s."
    else:
        what = f"The instance was not healed: {story.status}, {story.reason}."
    return f"\n{what}\n{tail(stack.host.service.log)}"


def _serve(console: Console, stack: Stack) -> None:
    """Wait for Ctrl-C or SIGTERM, the normal end; raises Failure if a service ends before that."""
    try:
        _guide(console, stack)
        while True:
            _check(stack)
            time.sleep(1)  # until a signal interrupts it; services are looked after meanwhile
    except Interrupted:
        # After SIGHUP there is no terminal any more.
        with suppress(OSError):
            print_plain(console, "Stopping ...")


def _guide(console: Console, stack: Stack) -> None:
    # One to be healed on request and one for the event: after the first of the two, an instance cools down.
    requested, signalled = _SPARE_INSTANCES
    for instance in _SPARE_INSTANCES:
        stack.simulator.put_instance(instance, behaviour=_BEHAVIOUR)
    event_file = stack.directory / "event.json"
    event_file.write_text(json.dumps([failure_event(signalled)], indent=2), encoding="utf-8")
    print_guide(console, stack, requested, str(event_file))
