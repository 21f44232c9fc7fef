"""Imports point strictly down: each room imports only from rooms that stand below it, and pure rooms do no I/O."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SHARED = [
    "version clock logs rate_limits",
    "domain",
    "setting_values",
    "clients settings sources",
    "storage",
    "healing",
    "api",
    "dashboard",
    "composition",
]
DEV = ["processes functions_host azure_simulator", "setup stack quality", "demo bench", "cli", "__main__"]
PURE = ("domain", "sources", "rate_limits")
FOREIGN = {"shared": {"dev", "tests"}, "dev": {"shared", "function_app"}}
"""The app knows nothing of development, which drives it from outside."""
DOES_IO = {"azure", "requests", "logging", "os", "random", "socket", "time"}


def files(root: str) -> list[Path]:
    return sorted((PROJECT / root).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        pytest.param(layers, path, id=name(path))
        for root, layers in (("shared", SHARED), ("dev", DEV))
        for path in files(root)
        if path.relative_to(PROJECT).parts[1] != "__init__.py"
    ],
)
def test_a_room_imports_only_from_the_rooms_below(layers: list[str], path: Path) -> None:
    root, room, *_ = path.relative_to(PROJECT).with_suffix("").parts
    rank = {room: rank for rank, layer in enumerate(layers) for room in layer.split()}
    others = {full.split(".")[1] for full in imports(path) if full.split(".")[0] == root} - {room}
    assert {other for other in others if rank[other] >= rank[room]} == set()


@pytest.mark.parametrize("path", [*files("shared"), *files("dev")], ids=name)
def test_app_and_development_do_not_import_each_other(path: Path) -> None:
    root = path.relative_to(PROJECT).parts[0]
    assert {full.split(".")[0] for full in imports(path)} & FOREIGN[root] == set()


@pytest.mark.parametrize("path", [path for room in PURE for path in files(f"shared/{room}")], ids=name)
def test_a_pure_room_does_no_io(path: Path) -> None:
    assert not {full.partition(".")[0] for full in imports(path)} & DOES_IO
