"""The simulator as a process: how it announces itself and ends."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.stack.services import Simulator


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Simulator]:
    simulator = Simulator(sys.executable, os.environ, tmp_path)
    try:
        simulator.start()
        simulator.wait()
        yield simulator
    finally:
        simulator.stop()


def test_when_it_is_told_to_end_then_it_ends_with_0_and_its_output_is_the_ready_line_alone(process: Simulator) -> None:
    # Leaves a connection open, which must not hold it up.
    assert process.request_log() == []
    process.service.process.terminate()
    assert process.service.process.wait(10) == 0
    assert len(process.service.output().splitlines()) == 1


def test_when_it_is_started_then_only_its_owner_can_read_its_key(process: Simulator) -> None:
    key = Path(process.ready["ca"]).with_name("server.pem")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
