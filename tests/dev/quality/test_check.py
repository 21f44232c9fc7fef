"""`python3 -m dev test`: everything runs, one failure is a failure of the whole, and an end leaves nothing running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dev.processes.service import PROJECT
from dev.quality.check import check

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]

PYPROJECT = '[tool.ruff.lint]\nselect = ["F"]\n[tool.mypy]\nfiles = ["a.py"]\n'
GOOD = 'def test_a() -> None:\n    assert "a"\n'


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One cache for all, so that mypy reads Python's own types once; few plugins, whose import takes seconds."""
    return {
        **os.environ,
        "MYPY_CACHE_DIR": str(tmp_path_factory.mktemp("mypy")),
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "xdist.plugin",
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.setattr("dev.quality.check.PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "failed"),
    [
        (GOOD, []),
        (GOOD.replace('assert "a"', "assert b"), ["ruff check", "mypy", "pytest"]),
        # Not as long as the one above: mypy takes a file of the same size and second for the same.
        (GOOD.replace("    ", "   "), ["ruff format"]),
        (GOOD.replace('assert "a"', 'a: int = "a"\n    assert a'), ["mypy"]),
        (GOOD.replace('assert "a"', 'assert "a" == "b"'), ["pytest"]),
    ],
)
def test_each_check_counts_and_none_hides_another(
    project: Path, environment: dict[str, str], capfd: pytest.CaptureFixture[str], source: str, failed: list[str]
) -> None:
    (project / "a.py").write_text(source)
    code = check(["-p", "no:cacheprovider", "a.py"], environment)
    output = capfd.readouterr().out
    summary = output.partition("== summary\n")[2].splitlines()
    assert [line[:12].strip() for line in summary if "FAILED" in line] == failed
    assert code == (1 if failed else 0)
    assert ("1 failed" if "pytest" in failed else "1 passed") in output


def test_quick_leaves_out_all_tests_but_the_unit_tests(
    project: Path, environment: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    for name, source in {"a.py": GOOD, "tests/unit/test_a.py": GOOD, "tests/api/test_b.py": "raise OSError\n"}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(source)
    assert check(["-p", "no:cacheprovider", "-n", "0"], environment, quick=True) == 0
    assert "1 passed" in capfd.readouterr().out


@pytest.fixture
def run_with_workers(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Two workers, each with a simulated Azure, all in a process group of their own as a terminal has it."""
    tests = ["tests/dev/azure_simulator/test_access.py", "tests/dev/azure_simulator/test_data_protection.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--basetemp={tmp_path / 'run'}", *tests]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, process_group=0) as run:
        try:
            yield run
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


@pytest.mark.parametrize("end", [lambda run: run.terminate(), lambda run: os.killpg(run.pid, signal.SIGINT)])
def test_a_run_that_is_ended_leaves_no_process(
    run_with_workers: "subprocess.Popen[str]", tmp_path: Path, end: Callable[["subprocess.Popen[str]"], None]
) -> None:
    deadline = time.monotonic() + 100
    while len(services_in(tmp_path)) < 2:
        assert run_with_workers.poll() is None, run_with_workers.communicate()
        assert time.monotonic() < deadline, "the services did not start"
        time.sleep(0.1)  # between two looks from outside, never instead of one
    end(run_with_workers)
    run_with_workers.communicate(timeout=40)
    assert services_in(tmp_path) == []


def services_in(directory: Path) -> list[str]:
    """The services that run there: their command lines name the directory of their data."""
    listing = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listing.stdout.splitlines() if f" {directory}/run/" in line]
