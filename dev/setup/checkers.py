"""Checkers with a home of their own, for the tests: their packages fit with no others. Stdlib only.

checkov pins versions that the rest of the development cannot live with; Kusto's parser is an npm package.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from pathlib import Path

from dev.processes.service import PROJECT
from dev.setup import node
from dev.setup.node import LOGS, STATE, Node
from dev.setup.steps import Progress, Step, one_at_a_time, run_step, stderr_progress

_CHECKOV = STATE / "checkov"
_CHECKOV_PINS = PROJECT / "dev" / "setup" / "checkov" / "requirements.txt"
_KUSTO = STATE / "kusto"
_KUSTO_PINS = PROJECT / "dev" / "setup" / "kusto"

CHECKOV = _CHECKOV / "bin" / "checkov"
"""The executable: checks infrastructure as code."""
KUSTO_LANGUAGE = _KUSTO / "node_modules" / "@kusto" / "language-service-next"
"""The package: Kusto's own parser, in JavaScript."""


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


def checkov_is_installed() -> bool:
    """Whether checkov is there, complete and as pinned."""
    return CHECKOV.exists() and _stamp(_CHECKOV) == _checkov_digest()


def kusto_is_installed() -> bool:
    """Whether the parser is there, complete and as locked."""
    return KUSTO_LANGUAGE.exists() and _stamp(_KUSTO) == _digest(_KUSTO_PINS / "package-lock.json")


async def _install(node_js: Node, progress: Progress) -> None:
    async with progress.shown():
        if not checkov_is_installed():
            await _install_checkov(progress)
        if not kusto_is_installed():
            await _install_kusto(node_js, progress)


async def _install_checkov(progress: Progress) -> None:
    shutil.rmtree(_CHECKOV, ignore_errors=True)
    environment = node.pip_environment()
    venv = [sys.executable, "-m", "venv", str(_CHECKOV)]
    await run_step(Step("checkov's venv", venv, LOGS / "install-checkov-venv.log", environment), progress)
    pip = [str(_CHECKOV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    packages = [*pip, "--no-compile", "--requirement", str(_CHECKOV_PINS)]
    await run_step(Step("checkov", packages, LOGS / "install-checkov.log", environment), progress)
    (_CHECKOV / "stamp").write_text(_checkov_digest(), encoding="utf-8")


async def _install_kusto(node_js: Node, progress: Progress) -> None:
    shutil.rmtree(_KUSTO, ignore_errors=True)
    _KUSTO.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_KUSTO_PINS / name, _KUSTO / name)
    command = [*node_js.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    path = f"{node_js.executable.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    step = Step("Kusto's parser", command, LOGS / "install-kusto.log", {**os.environ, "PATH": path}, _KUSTO)
    await run_step(step, progress)
    (_KUSTO / "stamp").write_text(_digest(_KUSTO_PINS / "package-lock.json"), encoding="utf-8")


def _checkov_digest() -> str:
    # A venv belongs to one Python.
    return _digest(_CHECKOV_PINS) + f" {sys.version} {sys.base_prefix}"


def _digest(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes()).hexdigest()


def _stamp(folder: Path) -> str | None:
    try:
        return (folder / "stamp").read_text(encoding="utf-8")
    except OSError:
        return None
