"""The app as it lies in its folder: the imports of a cold start, the size of the triggers, the sample settings."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from shared.settings import Settings

PROJECT = Path(__file__).parents[2]
HEAVY = [
    "azure.identity",
    "azure.data.tables",
    "azure.storage.blob",
    "azure.storage.queue",
    "azure.eventgrid",
    "pydantic",
    "requests",
    "jinja2",
    "msgspec",
]


def test_a_cold_start_loads_no_library_before_it_is_needed() -> None:
    script = f"import sys, function_app; print([name for name in {HEAVY} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(("schedule", "runs"), [("0 7 * * * *", True), ("", False), ("off", False)])
def test_the_sweep_runs_by_itself_unless_it_is_turned_off(schedule: str, runs: bool) -> None:
    script = "import function_app; print([f.get_function_name() for f in function_app.app.get_functions()])"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "SWEEP_SCHEDULE": schedule}
    functions = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert ("sweep_instances" in functions.stdout) is runs
    assert "request_sweep" in functions.stdout


def test_the_triggers_fit_on_a_page() -> None:
    assert len((PROJECT / "function_app.py").read_text(encoding="utf-8").splitlines()) <= 220


def test_the_sample_settings_can_be_used() -> None:
    values = json.loads((PROJECT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    assert Settings.from_environment(values) == Settings()


def test_the_sample_settings_name_only_settings_that_exist() -> None:
    values = json.loads((PROJECT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    known = {setting.metadata["variable"] for setting in fields(Settings)}
    assert set(values) - known == {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "PYTHON_THREADPOOL_THREAD_COUNT"}


CODE = [PROJECT / "function_app.py", PROJECT / "autoheal.py", *(PROJECT / "shared").rglob("*.py")]
MAX_LINES = 400
"""A file that no longer fits on a few screens is two ideas."""


def test_every_file_fits_on_a_few_screens() -> None:
    lines = {file.name: file.read_text(encoding="utf-8").count("\n") for file in CODE}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_a_docstring_names_the_thing() -> None:
    begins = re.compile(r'"""What\b')
    assert [file.name for file in CODE if begins.search(file.read_text(encoding="utf-8"))] == []
