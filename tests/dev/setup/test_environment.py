"""The virtual environment: made where it is missing, wrong or broken, and left alone otherwise."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.processes.errors import Failure
from dev.processes.service import PROJECT
from dev.setup import environment, node


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project whose packages come from a folder: no network, and Azurite is there."""
    (tmp_path / "requirements-dev.txt").write_text("")
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(environment, "_STAMP", tmp_path / ".venv" / "installed.json")
    monkeypatch.setattr(environment, "_UNFINISHED", tmp_path / ".venv" / "unfinished")
    monkeypatch.setattr(environment, "STATE", tmp_path / ".dev")
    monkeypatch.setattr(environment, "LOGS", tmp_path / ".dev" / "logs")
    monkeypatch.setattr(node, "machine_node", lambda: node.Node(Path("/bin/node"), ("/bin/npm",)))
    monkeypatch.setattr(node, "azurite_is_installed", lambda: True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path


def test_the_environment_is_made_once_and_made_anew_when_it_must_be(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environment.prepare()
    assert "Installing .venv" in capfd.readouterr().err
    made = subprocess.run([project / ".venv/bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True)
    assert made.stdout.decode().strip() == str(project / ".venv")

    environment.prepare()
    assert capfd.readouterr().err == ""

    (project / "requirements-dev.txt").write_text("# changed\n")
    environment.prepare()
    told = capfd.readouterr().err
    assert "Installing Python packages" in told
    assert ".venv" not in told

    (project / ".venv" / "bin" / "python").unlink()
    environment.prepare()
    assert "Installing .venv" in capfd.readouterr().err


def test_an_installation_that_was_cut_off_is_begun_anew(project: Path) -> None:
    (project / "requirements-dev.txt").write_text("no-such-package==1\n")
    with pytest.raises(Failure, match=r"(?s)no-such-package.*Python packages could not be installed"):
        environment.prepare()
    assert not environment._venv_works()


def test_no_interpreter_of_another_version_is_taken_for_a_good_one(project: Path) -> None:
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3.2.1\n")
    python.chmod(0o755)
    assert not environment._venv_works()


def test_children_find_the_environments_programs_first(project: Path) -> None:
    path = environment.child_environment(node.Node(Path("/opt/node/bin/node"), ()))["PATH"]
    assert path == os.pathsep.join([str(project / ".venv/bin"), "/opt/node/bin", os.environ["PATH"]])


def test_older_pythons_can_read_the_file_that_tells_them_what_they_lack() -> None:
    for name in ("__main__.py", "__init__.py"):
        ast.parse((PROJECT / "dev" / name).read_text(), feature_version=(3, 7))


def test_setting_up_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; import dev.cli\n"
        "own = {name.partition('.')[0] for name in sys.modules} - {'dev', '__main__', 'encodings'}\n"
        "print(sorted(name for name in own if name not in sys.stdlib_module_names))"
    )
    command = [sys.executable, "-S", "-c", code]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
