"""Where tests find the checkers that have a home of their own."""

import os
from pathlib import Path

import pytest

from dev.setup import checkers, node

_ADVICE = "`python3 -m dev test` installs it, or let {} name it"


def checkov() -> Path:
    """checkov as `python3 -m dev test` installs it; the variable CHECKOV names another executable."""
    if named := os.environ.get("CHECKOV"):
        return Path(named)
    if not checkers.checkov_is_installed():
        pytest.fail(f"checkov is not installed: {_ADVICE.format('CHECKOV')}")
    return checkers.CHECKOV


def kusto_parser() -> tuple[Path, Path]:
    """Node.js and Kusto's parser; the variable KUSTO_LANGUAGE names another folder of the package."""
    if named := os.environ.get("KUSTO_LANGUAGE"):
        return _node(), Path(named)
    if not checkers.kusto_is_installed():
        pytest.fail(f"Kusto's parser is not installed: {_ADVICE.format('KUSTO_LANGUAGE')}")
    return _node(), checkers.KUSTO_LANGUAGE


def spectral() -> tuple[Path, Path]:
    """Node.js and Spectral's packages; the variable SPECTRAL names another folder of them."""
    if named := os.environ.get("SPECTRAL"):
        return _node(), Path(named)
    if not checkers.spectral_is_installed():
        pytest.fail(f"Spectral is not installed: {_ADVICE.format('SPECTRAL')}")
    return _node(), checkers.SPECTRAL


def kql_engine() -> Path:
    """The folder of packages that run Kusto's queries; the variable KQL_ENGINE names another one."""
    if named := os.environ.get("KQL_ENGINE"):
        return Path(named)
    if not checkers.kql_engine_is_installed():
        pytest.fail(f"DuckDB for Kusto's queries is not installed: {_ADVICE.format('KQL_ENGINE')}")
    return checkers.KQL_ENGINE


def _node() -> Path:
    found = node.machine_node()
    return (found if isinstance(found, node.Node) else node.wheel_node()).executable
