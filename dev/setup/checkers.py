"""Checkers that only the tests need and whose packages fit with no others, each in a folder of its own. Stdlib only.

checkov pins versions that the rest of the development cannot live with; Kusto's parser and Spectral are npm packages;
DuckDB, which runs Kusto's queries, is only for the tests of those.
"""

import asyncio
import sys

from dev.processes.service import PROJECT
from dev.setup import node
from dev.setup.node import LOGS, PIP_OPTIONS, STATE, Node
from dev.setup.pinned import PinnedFolder
from dev.setup.steps import Progress, Step, one_at_a_time, run_installation, run_step, stderr_progress

CHECKOV = STATE / "checkov" / "bin" / "checkov"
"""The executable: checks infrastructure as code."""
KUSTO_LANGUAGE = STATE / "kusto" / "node_modules" / "@kusto" / "language-service-next"
"""The package: Kusto's own parser, in JavaScript."""
SPECTRAL = STATE / "spectral" / "node_modules" / "@stoplight"
"""The packages: Spectral, which checks OpenAPI, without its command line and what that needs."""
KQL_ENGINE = STATE / "kql"
"""The folder with the packages: DuckDB, and a translation of Kusto's queries for it."""

_PINS = PROJECT / "dev" / "setup"
_CHECKOV = PinnedFolder(
    STATE / "checkov",
    _PINS / "checkov" / "requirements.txt",
    CHECKOV,
    # A venv belongs to one Python.
    f"{sys.version} {sys.base_prefix}",
)
_KUSTO = PinnedFolder(STATE / "kusto", _PINS / "kusto" / "package-lock.json", KUSTO_LANGUAGE)
_SPECTRAL = PinnedFolder(STATE / "spectral", _PINS / "spectral" / "package-lock.json", SPECTRAL / "spectral-rulesets")
_KQL_ENGINE = PinnedFolder(
    KQL_ENGINE,
    _PINS / "kql" / "requirements.txt",
    KQL_ENGINE / "duckdb_kql",
    # DuckDB is built for a Python.
    sys.version,
)
checkov_is_installed = _CHECKOV.is_installed
kusto_is_installed = _KUSTO.is_installed
spectral_is_installed = _SPECTRAL.is_installed
kql_engine_is_installed = _KQL_ENGINE.is_installed
_ALL = (_CHECKOV, _KUSTO, _SPECTRAL, _KQL_ENGINE)


def prepare(node_js: Node) -> None:
    """Install what is missing. Quick when nothing is missing.

    Raises:
        Failure: something cannot be installed; the message holds the installer's whole output.
    """
    if all(each.is_installed() for each in _ALL):
        return
    progress = stderr_progress()
    with one_at_a_time(STATE / "install.lock", progress):
        run_installation(_install(node_js, progress))


async def _install(node_js: Node, progress: Progress) -> None:
    # pip and npm side by side.
    async with progress.shown(), asyncio.TaskGroup() as group:
        if not checkov_is_installed():
            group.create_task(_install_checkov(progress))
        if not kql_engine_is_installed():
            group.create_task(_install_kql_engine(progress))
        group.create_task(_install_npm_packages(node_js, progress))


async def _install_npm_packages(node_js: Node, progress: Progress) -> None:
    if not kusto_is_installed():
        await node.npm_ci("Kusto's parser", _KUSTO, LOGS / "install-kusto.log", node_js, progress)
    if not spectral_is_installed():
        await node.npm_ci("Spectral", _SPECTRAL, LOGS / "install-spectral.log", node_js, progress)


async def _install_checkov(progress: Progress) -> None:
    _CHECKOV.clear()
    environment = node.pip_environment()
    venv = [sys.executable, "-m", "venv", str(_CHECKOV.path)]
    await run_step(Step("checkov's venv", venv, LOGS / "install-checkov-venv.log", environment), progress)
    pip = [str(_CHECKOV.path / "bin" / "python"), "-m", "pip", "install", *PIP_OPTIONS]
    packages = [*pip, "--requirement", str(_CHECKOV.pins)]
    await run_step(Step("checkov", packages, LOGS / "install-checkov.log", environment), progress)
    _CHECKOV.finish()


async def _install_kql_engine(progress: Progress) -> None:
    _KQL_ENGINE.clear()
    options = [*PIP_OPTIONS, "--only-binary", ":all:", "--target", str(KQL_ENGINE)]
    command = [sys.executable, "-m", "pip", "install", *options, "--requirement", str(_KQL_ENGINE.pins)]
    await run_step(Step("DuckDB", command, LOGS / "install-kql.log", node.pip_environment()), progress)
    _KQL_ENGINE.finish()
