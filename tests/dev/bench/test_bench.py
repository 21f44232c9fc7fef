"""The benchmark runs and says what it should. How fast anything is, no test asks: that is the machine's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dev.bench.workload import LogTail
from dev.processes.service import PROJECT
from dev.setup import environment


@pytest.mark.skipif(
    not environment.is_active() or sys.platform != "linux",
    reason="outside .venv it would install that, and it measures by /proc",
)
@pytest.mark.skipif("BENCH" not in os.environ, reason="takes more than a minute: BENCH=1 runs it")
@pytest.mark.timeout(400)
def test_the_quick_benchmark_answers_every_question_in_json() -> None:
    command = [sys.executable, "-m", "dev", "bench", "--quick", "--json"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=360, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result.keys() >= {"at", "machine", "quick", "runs", "parts", "plots"}
    assert result["machine"].keys() >= {"processor", "cores", "memoryGiB", "python", "load", "loadAfter"}
    parts: dict[str, Any] = result["parts"]
    for operation in ("2s", "10s"):
        for side in ("sdk", "app"):
            assert parts["heal"][operation][side].keys() >= {"seconds", "cpuMs", "calls", "runs"}
    for mode in ("Watch", "Backup"):
        assert parts["recovery"][mode].keys() >= {"seconds", "cpuMs", "calls"}
    assert parts["start"]["milliseconds"].keys() == {"app", "bare", "sdk"}
    for found in parts["tick"]["inFlight"].values():
        assert found.keys() >= {"seconds", "limitSeconds", "shareOfLimit", "noneDueMs", "memoryMiB"}
        assert found["callsEach"] == 1


def test_a_poll_run_is_read_from_the_log_once_it_has_ended(tmp_path: Path) -> None:
    log = tmp_path / "host.log"
    log.touch()
    tail = LogTail(log)
    begins = "[2026-01-01T00:00:0{}.250Z] INFO Function.poll_operations: Executing 'Functions.poll_operations' "
    ends = "[2026-01-01T00:00:09.000Z] INFO Function.poll_operations: Executed 'Functions.poll_operations' "
    with log.open("a") as file:
        file.write(begins.format(1) + "(Reason='Timer fired at 2026-01-01T00:00:01+00:00', Id=aa-1)\n")
        file.write(begins.format(2) + "(Reason='Timer fired at 2026-01-01T00:00:02+00:00', Id=bb-2)\n")
        file.write(ends + "(Succeeded, Id=aa-1, Duration=7750ms)\n")
    ((began, milliseconds),) = tail.poll_runs()
    assert (began.isoformat(), milliseconds) == ("2026-01-01T00:00:01.250000+00:00", 7750)
