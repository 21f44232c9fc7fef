"""Where tests find Azurite."""

import os

import pytest

from dev.setup import node


def azurite_command() -> list[str]:
    """Azurite as `python3 -m dev` installs it; the variable AZURITE names another executable."""
    if named := os.environ.get("AZURITE"):
        return [named]
    if not node.azurite_is_installed():
        pytest.fail("Azurite is not installed: `python3 -m dev test` does it, or let AZURITE name its executable")
    found = node.machine_node()
    return (found if isinstance(found, node.Node) else node.wheel_node()).azurite
