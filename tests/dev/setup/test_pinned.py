"""Folders of pinned packages count as installed only when they are complete and as pinned."""

from pathlib import Path

import pytest

from dev.setup import checkers, node
from dev.setup.pinned import PinnedFolder


@pytest.fixture
def folder(tmp_path: Path) -> PinnedFolder:
    """A folder that looks complete; only its stamp is missing."""
    (tmp_path / "pins.txt").write_text("package==1")
    folder = PinnedFolder(tmp_path / "folder", tmp_path / "pins.txt", tmp_path / "folder" / "program")
    folder.clear()
    folder.proof.touch()
    return folder


def test_an_installation_that_was_cut_off_does_not_count(folder: PinnedFolder) -> None:
    assert not folder.is_installed()


def test_a_complete_installation_counts(folder: PinnedFolder) -> None:
    folder.finish()
    assert folder.is_installed()


def test_an_installation_of_other_pins_does_not_count(folder: PinnedFolder) -> None:
    folder.finish()
    folder.pins.write_text("package==2")
    assert not folder.is_installed()


def test_an_installation_for_another_platform_does_not_count(folder: PinnedFolder) -> None:
    folder.finish()
    assert not PinnedFolder(folder.path, folder.pins, folder.proof, "other").is_installed()


def test_an_installation_without_its_program_does_not_count(folder: PinnedFolder) -> None:
    folder.finish()
    folder.proof.unlink()
    assert not folder.is_installed()


@pytest.mark.parametrize("folder", [node._AZURITE, node._WHEEL, *checkers._ALL])
def test_the_pins_of_each_folder_are_in_the_repository(folder: PinnedFolder) -> None:
    assert folder.pins.is_file()
    assert folder.proof.is_relative_to(folder.path)
