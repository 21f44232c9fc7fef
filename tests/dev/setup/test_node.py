"""Which Node.js is taken, and why one is not."""

import os
from pathlib import Path

import pytest

from dev.setup.node import Node, Unusable, machine_node


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_node_and_npm_on_path_are_taken(tmp_path: Path) -> None:
    executable(tmp_path / "node", "echo v20.1.0")
    executable(tmp_path / "npm", "")
    assert machine_node({"PATH": str(tmp_path)}) == Node(tmp_path / "node", (str(tmp_path / "npm"),))


def test_without_node_that_is_the_reason(tmp_path: Path) -> None:
    assert machine_node({"PATH": str(tmp_path)}) == Unusable("there is no node on PATH")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo v18.20.1", "is v18.20.1, older than 20"),
        ("echo GLIBC_2.28 is missing >&2; exit 1", "does not run: GLIBC_2.28 is missing"),
        ("echo v22.0.0", "there is no npm beside"),
    ],
)
def test_a_node_that_cannot_be_used_is_explained(tmp_path: Path, script: str, reason: str) -> None:
    executable(tmp_path / "node", script)
    found = machine_node({"PATH": str(tmp_path)})
    assert isinstance(found, Unusable)
    assert reason in found.reason
    assert str(tmp_path / "node") in found.reason


def test_a_node_that_is_no_program_is_explained(tmp_path: Path) -> None:
    (tmp_path / "node").write_bytes(os.urandom(32))
    (tmp_path / "node").chmod(0o755)
    found = machine_node({"PATH": str(tmp_path)})
    assert isinstance(found, Unusable)
    assert "does not run" in found.reason
