"""Checkers that have a home of their own count as installed only when they are complete and as pinned."""

from pathlib import Path

import pytest

from dev.setup import checkers


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A venv and a package that look complete; only their stamps are missing."""
    monkeypatch.setattr(checkers, "_CHECKOV", tmp_path / "checkov")
    monkeypatch.setattr(checkers, "CHECKOV", tmp_path / "checkov" / "bin" / "checkov")
    monkeypatch.setattr(checkers, "_KUSTO", tmp_path / "kusto")
    monkeypatch.setattr(checkers, "KUSTO_LANGUAGE", tmp_path / "kusto" / "package")
    (tmp_path / "checkov" / "bin").mkdir(parents=True)
    (tmp_path / "checkov" / "bin" / "checkov").touch()
    (tmp_path / "kusto" / "package").mkdir(parents=True)
    return tmp_path


def test_an_installation_that_was_cut_off_does_not_count(home: Path) -> None:
    assert not checkers.checkov_is_installed()
    assert not checkers.kusto_is_installed()


def test_an_installation_of_other_pins_does_not_count(home: Path) -> None:
    (home / "checkov" / "stamp").write_text("other")
    (home / "kusto" / "stamp").write_text("other")
    assert not checkers.checkov_is_installed()
    assert not checkers.kusto_is_installed()


def test_a_complete_installation_counts(home: Path) -> None:
    (home / "checkov" / "stamp").write_text(checkers._checkov_digest())
    (home / "kusto" / "stamp").write_text(checkers._digest(checkers._KUSTO_PINS / "package-lock.json"))
    assert checkers.checkov_is_installed()
    assert checkers.kusto_is_installed()
