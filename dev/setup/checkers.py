"""Checkers that only the tests need and whose packages fit with no others, each in a folder of its own. Stdlib only.

checkov pins versions that the rest of the development cannot live with; Kusto's parser is an npm package.
"""

import asyncio
import sys

from dev.processes.service import PROJECT
from dev.setup import node
from dev.setup.node import LOGS, PIP_OPTIONS, STATE, Node
from dev.setup.pinned import PinnedFolder
from dev.setup.steps import Progress, Step, one_at_a_time, run_step, stderr_progress

CHECKOV = STATE / "checkov" / "bin" / "checkov"
"""The executable: checks infrastructure as code."""
KUSTO_LANGUAGE = STATE / "kusto" / "node_modules" / "@kusto" / "language-service-next"
"""The package: Kusto's own parser, in JavaScript."""

_PINS = PROJECT / "dev" / "setup"
_CHECKOV = PinnedFolder(
    STATE / "checkov",
    _PINS / "checkov" / "requirements.txt",
    CHECKOV,
    # A venv belongs to one Python.
    f"{sys.version} {sys.base_prefix}",
)
_KUSTO = PinnedFolder(STATE / "kusto", _PINS / "kusto" / "package-lock.json", KUSTO_LANGUAGE)
checkov_is_installed = _CHECKOV.is_installed
kusto_is_installed = _KUSTO.is_installed


def prepare(node_js: Node) -> None:
    """Install what is missing. Quick when nothing is missing.

    Raises:
        Failure: something cannot be installed; the message holds the installer's whole output.
    """
    if checkov_is_installed() and kusto_is_installed():
        return
    progress = stderr_progress()
    with one_at_a_time(STATE / "install.lock", progress):
        asyncio.run(_install(node_js, progress))


async def _install(node_js: Node, progress: Progress) -> None:
    async with progress.shown():
        if not checkov_is_installed():
            await _install_checkov(progress)
        if not kusto_is_installed():
            await node.npm_ci("Kusto's parser", _KUSTO, LOGS / "install-kusto.log", node_js, progress)


async def _install_checkov(progress: Progress) -> None:
    _CHECKOV.clear()
    environment = node.pip_environment()
    venv = [sys.executable, "-m", "venv", str(_CHECKOV.path)]
    await run_step(Step("checkov's venv", venv, LOGS / "install-checkov-venv.log", environment), progress)
    pip = [str(_CHECKOV.path / "bin" / "python"), "-m", "pip", "install", *PIP_OPTIONS]
    packages = [*pip, "--requirement", str(_CHECKOV.pins)]
    await run_step(Step("checkov", packages, LOGS / "install-checkov.log", environment), progress)
    _CHECKOV.finish()
