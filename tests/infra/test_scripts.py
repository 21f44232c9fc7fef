"""The hooks of azd and the scripts that connect subscriptions, as texts: each with its twin in PowerShell."""

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.bicep import INFRA, PROJECT

SCRIPTS = sorted(path for path in INFRA.rglob("*.sh"))
each_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(INFRA)))


def calls_in(text: str) -> list[tuple[str, list[str]]]:
    """The calls of az in a script, in order: what they do, and their options."""
    lines = (re.sub(r"\|\| fail .*|2>.*|(Fail|fail|Say|say) .*", "", line) for line in text.splitlines())
    code = [line for line in lines if re.search(r"\baz [a-z]", line) and not line.lstrip().startswith("#")]
    found = [(re.search(r"\baz ((?:[a-z-]+ )+?)--", line), line) for line in code]
    return [
        (verb[1].strip(), re.findall(r"--(?!skip-token)[a-z-]+", line[verb.end() - 2 :]))
        for verb, line in found
        if verb
    ]


def messages_in(text: str) -> list[str]:
    """The messages of a script, its variables and the names of scripts made alike."""
    said = re.findall(r"\b(?:say|fail|Say|Fail) \"((?:[^\"\\]|\\.)*)\"", text)
    alike = [re.sub(r"\$\{[^}]*\}|\$\w+", "$", one).replace(".ps1", ".sh") for one in said]
    return [one for one in alike if one != "$"]


@each_script
def test_windows_has_the_same_script(path: Path) -> None:
    posix, windows = path.read_text(), path.with_suffix(".ps1").read_text()
    assert calls_in(posix) == calls_in(windows)
    assert sorted(messages_in(posix)) == sorted(messages_in(windows))


@each_script
def test_a_script_reads_as_a_posix_shell_does(path: Path) -> None:
    checked = subprocess.run(["sh", "-n", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    runs_by_itself = bool(path.stat().st_mode & stat.S_IXUSR)
    assert runs_by_itself == path.read_text().startswith("#!/bin/sh\n")


def test_every_call_that_can_name_a_subscription_does() -> None:
    scoped = ("--subscription", "--scope", "--ids", "--management-group", "--url", "--graph-query")
    calls = [
        line
        for path in SCRIPTS
        for line in path.read_text().splitlines()
        if re.search(r"\baz [a-z-]+ [a-z-]+ .*--", line)
    ]
    nowhere = ("az account show", "az cloud show", "az ad ")  # the login's, and those of the tenant
    bare = [line for line in calls if not any(word in line for word in (*scoped, *nowhere))]
    assert calls
    assert bare == []


def test_azd_runs_the_hooks_that_there_are() -> None:
    hooks: dict[str, Any] = yaml.safe_load((PROJECT / "azure.yaml").read_text())["hooks"]
    assert set(hooks) == {"preprovision", "postdeploy", "predown"}
    for name, shells in hooks.items():
        assert shells == {
            "posix": {"shell": "sh", "run": f"infra/hooks/{name}.sh"},
            "windows": {"shell": "pwsh", "run": f"infra/hooks/{name}.ps1"},
        }
        assert all((PROJECT / shell["run"]).is_file() for shell in shells.values())
