"""Where the browser tests find their browser."""

from pathlib import Path

import pytest

from dev.setup.chromium import NAMES, find_chromium


@pytest.mark.parametrize("name", NAMES)
def test_a_chromium_on_path_is_found_by_each_of_its_names(tmp_path: Path, name: str) -> None:
    executable = tmp_path / name
    executable.touch(0o755)
    assert find_chromium({"PATH": str(tmp_path)}) == str(executable)


def test_a_machine_without_one_has_none(tmp_path: Path) -> None:
    assert find_chromium({"PATH": str(tmp_path)}) is None
