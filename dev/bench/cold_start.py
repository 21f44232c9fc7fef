"""Cold start: the import time of the app, beside that of any app with the same triggers, and of one on the SDK."""

import statistics
import subprocess
from collections.abc import Iterable
from tempfile import TemporaryDirectory
from typing import Any

from dev.bench.context import Context, Json, Part, ResultRow
from dev.processes.service import PROJECT, bound_to_parent

_STATEMENTS = {
    "app": "import function_app",
    "bare": "import azure.functions, requests",
    "sdk": "import azure.functions, azure.mgmt.dataprotection, azure.identity",
}
_MAX_RATIO = 1.5
_QUICK_RUNS = 3
_MIN_RUNS = 9


def measure(context: Context) -> Json:
    """Medians of fresh interpreters, the three in turn."""
    context.say("cold start")
    times = _QUICK_RUNS if context.quick else max(_MIN_RUNS, context.runs)
    with TemporaryDirectory(prefix="bytecode-", dir=context.directory) as bytecode:
        # Kept in one place for all three, as it is where apps are deployed: compiling is not importing.
        environment = {**context.environment, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for statement in _STATEMENTS.values():
            _import(context.python, statement, environment)
        runs = [
            {name: _import(context.python, statement, environment) for name, statement in _STATEMENTS.items()}
            for _ in range(times)
        ]
    milliseconds = {name: round(statistics.median(run[name] for run in runs) * 1000, 1) for name in _STATEMENTS}
    return {"milliseconds": milliseconds, "appToBare": round(milliseconds["app"] / milliseconds["bare"], 2)}


def _import(python: str, statement: str, environment: dict[str, str]) -> float:
    script = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    command = bound_to_parent([python, "-c", script])
    asked = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    return float(asked.stdout.splitlines()[-1])


def rows(numbers: Json) -> Iterable[ResultRow]:
    """For the table."""
    ms, ratio = numbers["milliseconds"], numbers["appToBare"]
    ours, beside = f"{ms['app']:.0f} ms", f"{ms['sdk']:.0f} ms"
    yield ResultRow("cold start: import of the app", ours, beside)
    yield ResultRow(
        "  beside azure.functions and requests alone", f"{ratio:.2f} x", "", f"{_MAX_RATIO} x", ratio <= _MAX_RATIO
    )


def plot(numbers: Json, figure: Any) -> None:
    """One bar for each import."""
    axes = figure.subplots()
    names = list(_STATEMENTS)
    bars = axes.barh([_STATEMENTS[name] for name in names], [numbers["milliseconds"][name] for name in names])
    axes.bar_label(bars, fmt="%.0f")
    axes.set_title("Cold start: milliseconds of import")


PART = Part("start", measure, rows, plot)
