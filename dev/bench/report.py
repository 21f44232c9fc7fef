"""The report of the benchmark: a table for people, a JSON file, and plots where matplotlib can be installed."""

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dev.bench.context import Json, Part
from dev.processes.errors import Failure
from dev.processes.service import PROJECT
from dev.setup import node
from dev.setup.steps import Step, one_at_a_time, run_step, stderr_progress

_REQUIREMENTS = PROJECT / "dev" / "bench" / "requirements.txt"
_MARKS = {True: "[green]reached", False: "[red]missed", None: ""}


def print_table(console: Console, parts: Sequence[Part], numbers: Mapping[str, Json]) -> None:
    """All rows of all parts."""
    table = Table()
    table.add_column("")
    for title in ("this app", "SDK poller, or limit", "goal"):
        table.add_column(title, justify="right")
    table.add_column("")
    for part in parts:
        for row in part.rows(numbers[part.name]):
            table.add_row(row.what, row.ours, row.beside, row.goal, _MARKS[row.reached])
        table.add_section()
    console.print(table)


def write_markdown(path: Path, parts: Sequence[Part], numbers: Mapping[str, Json]) -> None:
    """The same rows, as docs/performance.md quotes them."""
    lines = ["| | this app | SDK poller, or limit | goal |", "|---|--:|--:|--:|"]
    for part in parts:
        for row in part.rows(numbers[part.name]):
            goal = row.goal if row.reached in (None, True) else f"{row.goal} (missed)"
            lines.append(f"| {row.what.strip()} | {row.ours} | {row.beside} | {goal} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path: Path, result: Json) -> None:
    """Everything, every single run included."""
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def write_plots(directory: Path, parts: Sequence[Part], numbers: Mapping[str, Json], console: Console) -> list[str]:
    """One SVG for each part; none, and a line that says so, where matplotlib cannot be installed."""
    try:
        _install_matplotlib()
    except Failure as failure:
        print(failure, file=sys.stderr)
        console.print("No plots: matplotlib cannot be installed; the reason is above.")
        return []
    # Its font cache too stays in the checkout.
    os.environ.setdefault("MPLCONFIGDIR", str(node.STATE / "matplotlib"))
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    # Text stays text, and no random ids: two plots can be compared.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench"})
    paths = []
    for part in parts:
        figure = figures.Figure(figsize=(12, 4), layout="constrained")
        part.plot(numbers[part.name], figure)
        path = directory / f"{part.name}.svg"
        figure.savefig(path, metadata={"Date": None})
        paths.append(path.name)
    return paths


def _install_matplotlib() -> None:
    """On first use: it is larger than everything else together, and nobody but this needs it."""
    if importlib.util.find_spec("matplotlib"):
        return
    progress = stderr_progress()
    options = [*node.PIP_OPTIONS, "--retries", "2", "--timeout", "20"]
    command = [sys.executable, "-m", "pip", "install", *options, "--requirement", str(_REQUIREMENTS)]
    step = Step("matplotlib", command, node.LOGS / "install-bench.log", node.pip_environment())
    with one_at_a_time(node.STATE / "install.lock", progress):
        asyncio.run(run_step(step, progress))
    importlib.invalidate_caches()
