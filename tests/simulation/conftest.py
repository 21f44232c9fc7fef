"""Nothing of the real world in a simulation: no threads, no log."""

import sys
from collections.abc import Iterator

import pytest

from tests.simulation.scheduler import InPlaceExecutor


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Pools of threads work in place, and log lines, which nobody reads here, are not written."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith(("shared.healing.", "shared.storage.")) and hasattr(module, "ThreadPoolExecutor"):
                patch.setattr(module, "ThreadPoolExecutor", InPlaceExecutor)
        patch.setattr("shared.logs._write", lambda level, event, fields: None)
        yield
