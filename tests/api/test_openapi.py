"""The running API does what its description says: all checks of schemathesis, on the whole stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.stack.stack import Stack

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]


@pytest.mark.once
@pytest.mark.timeout(300)
def test_the_api_keeps_what_its_description_promises(stack: Stack) -> None:
    begins = stack.host.service.log.stat().st_size
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{stack.host.url}/api/openapi.json", "--checks", "all", "--no-color"),
    ]
    environment = {**os.environ, "FUNCTION_KEY": stack.host.keys["function"], "NO_PROXY": "127.0.0.1,localhost"}
    tested = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=280)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    log = stack.host.service.log.read_text(encoding="utf-8")[begins:]
    assert "Traceback" not in log
