"""Nothing of the real world in a simulation: no threads, no log."""

import sys

import pytest

from tests.simulation.scheduler import InPlaceExecutor


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools of threads work in place, and log lines, which nobody reads here, are not written."""
    for name, module in list(sys.modules.items()):
        if name.startswith("shared.healing.") and hasattr(module, "ThreadPoolExecutor"):
            monkeypatch.setattr(module, "ThreadPoolExecutor", InPlaceExecutor)
    monkeypatch.setattr("shared.logs._write", lambda level, event, fields: None)
