"""`python3 -m dev test`: lint, types and tests. All of them run; the exit code tells whether all passed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from dev.processes.interrupts import Interrupted, held
from dev.processes.service import PROJECT

_LAST_WORDS_SECONDS = 30
"""For pytest to end the services that it started."""
_MAX_WORKERS = 6
"""Each has an Azurite and a simulated Azure of its own."""


def check(pytest_arguments: Sequence[str], environment: Mapping[str, str], *, quick: bool = False) -> int:
    """Run everything, with its output as it comes; returns 0 if all passed, else 1.

    `quick` leaves out all tests but the unit tests.

    Raises:
        Interrupted: a signal came; what was running has ended by then.
    """
    # Bytecode is kept even where a shell asks for none: some hundred processes would each compile all that they import.
    environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    python = [sys.executable, "-m"]
    unit = ["tests/unit"] if quick else []
    commands = {
        "ruff check": [*python, "ruff", "check", "."],
        "ruff format": [*python, "ruff", "format", "--check", "."],
        "mypy": [*python, "mypy"],
        "pytest": [*python, "pytest", *_workers(pytest_arguments), *unit, *pytest_arguments],
    }
    results = {name: _run(name, command, environment) for name, command in commands.items()}
    print("\n== summary")
    for name, (code, seconds) in results.items():
        print(f"{name:12} {'passed' if code == 0 else f'FAILED (exit code {code})':24} {seconds:6.1f} s")
    sys.stdout.flush()
    return 0 if all(code == 0 for code, _ in results.values()) else 1


def _workers(pytest_arguments: Sequence[str]) -> list[str]:
    """pytest-xdist's option, to which a later `-n` is preferred. Tests that are named by path run without workers,
    whose start takes seconds, and in which no debugger can read.
    """
    if any((PROJECT / argument.partition("::")[0]).exists() for argument in pytest_arguments):
        return []
    # One more than processors, because some tests wait for most of their time.
    return ["-n", str(min((os.cpu_count() or 1) + 1, _MAX_WORKERS))]


def _run(name: str, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, float]:
    print(f"\n== {name}", flush=True)
    began = time.monotonic()
    # No session of its own: in a terminal Ctrl-C must reach it, and a debugger must be able to read.
    process = subprocess.Popen(command, cwd=PROJECT, env=dict(environment))
    try:
        code = process.wait()
    except Interrupted as interrupted:
        with held():
            _end(process, from_terminal=interrupted.number == signal.SIGINT and sys.stdin.isatty())
        raise
    return code, time.monotonic() - began


def _end(process: subprocess.Popen[bytes], from_terminal: bool) -> None:
    """Let it end as on Ctrl-C: that is how pytest tears its fixtures down, and with them their services."""
    if not from_terminal:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_LAST_WORDS_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
