"""`python3 -m dev bench`: the app's numbers, beside those of the official SDK's poller on the same machine.

Everything is driven and measured from outside: real Azurite, the simulated Azure, the app in the local host,
turned by its settings alone. docs/performance.md says what limits each number.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from dev.bench import cold_start, heal, pacing, poll_run, recovery
from dev.bench.context import Context, Json, Part, check_system, load, machine
from dev.bench.report import print_table, write_json, write_markdown, write_plots
from dev.setup.node import STATE, Node

PARTS: tuple[Part, ...] = (cold_start.PART, heal.PART, recovery.PART, poll_run.PART, pacing.PART)
"""In the order in which they run and are shown; a further measurement is one module more, and its PART here."""
_RUNS = 3


def bench(options: argparse.Namespace, node: Node, environment: Mapping[str, str]) -> int:
    """Measure all parts, show the table, and write JSON and plots below `.dev/bench`; returns 0."""
    check_system()
    console = Console(stderr=options.json)
    directory = _new_directory(STATE / "bench")
    runs = 1 if options.quick else _RUNS
    with console.status("") as status:
        context = Context(
            directory, node.azurite, sys.executable, environment, runs, options.quick, _progress(console, status.update)
        )
        result = _measure(context)
    numbers = result["parts"]
    print_table(console, PARTS, numbers)
    result["plots"] = write_plots(directory, PARTS, numbers, console)
    write_json(directory / "bench.json", result)
    write_markdown(directory / "table.md", PARTS, numbers)
    console.print(f"Table, numbers of each run and plots are in {directory.relative_to(STATE.parent)}", soft_wrap=True)
    if options.json:
        print(json.dumps(result), flush=True)
    return 0


def _measure(context: Context) -> Json:
    on = machine()
    parts = {part.name: part.measure(context) for part in PARTS}
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": context.quick,
        "runs": context.runs,
        "machine": {**on, "loadAfter": load()},
        "parts": parts,
    }


def _new_directory(below: Path) -> Path:
    directory = below / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    directory.mkdir(parents=True, mode=0o700)
    return directory


def _progress(console: Console, update: Callable[[str], None]) -> Callable[[str], None]:
    """On a terminal one line that changes, elsewhere a line for each step."""
    return update if console.is_terminal else lambda text: console.print(text, soft_wrap=True)
