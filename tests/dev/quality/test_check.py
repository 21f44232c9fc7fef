"""`python3 -m dev test`: everything runs, and one failure is a failure of the whole."""

import os
from pathlib import Path

import pytest

from dev.quality.check import check

pytestmark = pytest.mark.once

PYPROJECT = '[tool.ruff.lint]\nselect = ["F"]\n[tool.mypy]\nfiles = ["a.py"]\n'
GOOD = 'def test_a() -> None:\n    assert "a"\n'


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
        (GOOD.replace("    ", "  "), ["ruff format"]),
        (GOOD.replace('assert "a"', 'a: int = "a"\n    assert a'), ["mypy"]),
        (GOOD.replace('assert "a"', 'assert "a" == "b"'), ["pytest"]),
    ],
)
def test_each_check_counts_and_none_hides_another(
    project: Path, capfd: pytest.CaptureFixture[str], source: str, failed: list[str]
) -> None:
    (project / "a.py").write_text(source)
    code = check(["-p", "no:cacheprovider", "a.py"], {**os.environ, "PYTEST_ADDOPTS": ""})
    output = capfd.readouterr().out
    summary = output.partition("== summary\n")[2].splitlines()
    assert [line[:12].strip() for line in summary if "FAILED" in line] == failed
    assert code == (1 if failed else 0)
    assert ("1 failed" if "pytest" in failed else "1 passed") in output
