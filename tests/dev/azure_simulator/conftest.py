"""A simulated Azure of a test's own, for what cannot be asked of the one that all tests share."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.simulator import Json, Simulator

PROJECT = Path(__file__).parents[3]


class OwnSimulator(Simulator):
    """A simulator and the process that it runs in."""

    def __init__(self, ready: Json, process: "subprocess.Popen[str]") -> None:
        super().__init__(ready)
        self.process = process


@contextmanager
def running_simulator(directory: Path, port: int = 0) -> Iterator[OwnSimulator]:
    """A simulator that is ended, and waited for, when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.azure_simulator", "--port", str(port), "--directory", str(directory)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    # Without this, a simulator that neither gets ready nor ends would hold up the tests for ever.
    alarm = threading.Timer(30, process.kill)
    alarm.start()
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, "the simulator ended before it was ready; what it said is on stderr"
        alarm.cancel()
        simulator = OwnSimulator(json.loads(line), process)
        with simulator.session:
            yield simulator
    finally:
        alarm.cancel()
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
