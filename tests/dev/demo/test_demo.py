"""The commands as a user runs them: their output, their exit codes, and what they leave behind."""

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from dev.processes.service import PROJECT
from dev.setup import environment

pytestmark = pytest.mark.skipif(
    not environment.is_active(),
    reason="outside .venv these commands would install it: run python3 -m dev test",
)
RUNS = PROJECT / ".dev" / "runs"


@contextmanager
def command(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A command of `python3 -m dev`, ended hard if the test has not ended it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dev", *arguments, "--host", "local"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def left_behind(process: "subprocess.Popen[str]") -> list[str]:
    """The processes that this command started and that are still there: all name its run's directory."""
    listing = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listing.stdout.splitlines() if f"-{process.pid}/" in line]


def directory_of(process: "subprocess.Popen[str]") -> Path:
    (directory,) = RUNS.glob(f"*-{process.pid}")
    return directory


def wait_for_services(process: "subprocess.Popen[str]", count: int) -> None:
    deadline = time.monotonic() + 60
    while len(left_behind(process)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the services did not start"
        threading.Event().wait(0.1)


def read_guide(process: "subprocess.Popen[str]") -> list[str]:
    """The lines that `up` shows once everything runs."""
    assert process.stdout is not None
    lines = [""]
    while "/api/dashboard" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "up has ended"
    return lines


@pytest.fixture(scope="module")
def demo_run() -> dict[str, Any]:
    """One run of the demo: its exit code, its output, and the processes and files that are left."""
    with command("demo", "--json") as process:
        output, errors = process.communicate(timeout=90)
        left = left_behind(process)
        files = sorted(path.name for path in directory_of(process).rglob("*") if path.is_file())
    return {"code": process.returncode, "output": output, "errors": errors, "left": left, "files": files}


def test_the_demo_ends_healed_with_json_as_the_last_line(demo_run: dict[str, Any]) -> None:
    assert demo_run["code"] == 0, demo_run["errors"]
    result = json.loads(demo_run["output"].splitlines()[-1])
    assert result["status"] == "Healed"
    assert re.fullmatch(r"[0-9a-f-]+", result["remediationId"])
    assert 0 < result["signalToSyncSeconds"] < result["totalSeconds"]


def test_the_demo_makes_no_call_too_many(demo_run: dict[str, Any]) -> None:
    result = json.loads(demo_run["output"].splitlines()[-1])
    calls = result["armCallsByKind"]
    # The operation takes 2 s and Azure asks for 1 s between polls; poll runs come each second.
    assert set(calls) == {"sync", "operationStatus", "instance"}
    assert (calls["sync"], result["armCalls"] <= 4) == (1, True)
    assert result["armCalls"] == sum(calls.values())


def test_the_demo_shows_each_milestone_in_its_order(demo_run: dict[str, Any]) -> None:
    milestones = ["signal", "queued", "sync accepted", "polling", "verified", "outcome event"]
    pattern = r"^ +\d+\.\d\d s  (" + "|".join(milestones) + ") "
    assert re.findall(pattern, demo_run["errors"], re.MULTILINE) == milestones


@pytest.mark.once
def test_the_story_of_a_failed_job_ends_with_a_new_recovery_point() -> None:
    with command("demo", "--story", "job", "--json") as process:
        output, errors = process.communicate(timeout=110)
        left = left_behind(process)
    assert process.returncode == 0, errors
    result = json.loads(output.splitlines()[-1])
    assert (result["status"], result["armCallsByKind"]["backup"], result["outcomeEvents"]) == ("Recovered", 1, 2)
    assert "minutes after the one before" in errors
    assert left == []


def test_the_demo_leaves_its_logs_and_nothing_else(demo_run: dict[str, Any]) -> None:
    assert demo_run["left"] == []
    assert demo_run["files"] == ["azurite.log", "host.log", "simulator.log"]


def test_no_key_or_token_is_in_a_log(demo_run: dict[str, Any]) -> None:
    logs = [path.read_text() for path in RUNS.glob("*-demo-*/logs/*.log")]
    assert not any(re.search(r"Bearer (?!<)|code=[\w-]{20}|eyJ[\w-]{20}", log) for log in logs)


@pytest.mark.parametrize("services", [1, 3])
def test_a_demo_that_is_ended_leaves_no_process(services: int) -> None:
    with command("demo") as process:
        wait_for_services(process, services)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert left_behind(process) == []
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.once
def test_a_demo_that_is_kept_shows_every_status_and_its_last_line_is_the_page() -> None:
    with command("demo", "--keep") as process:
        page = urlsplit(read_guide(process)[-1].strip())
        key = {"x-functions-key": parse_qs(page.query)["code"][0]}
        listed = requests.get(f"{page.scheme}://{page.netloc}/api/remediations?top=200", headers=key, timeout=30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert left_behind(process) == []
    rows = listed.json()["value"]
    described = json.loads((PROJECT / "shared" / "api" / "openapi.json").read_text())
    assert {row["status"] for row in rows} == set(described["components"]["schemas"]["Status"]["enum"])
    assert any(row["incidentId"] for row in rows)
    assert any(row["attention"] and row["attention"]["acknowledgement"] for row in rows)


def test_up_serves_its_own_curl_lines_until_ctrl_c() -> None:
    with command("up") as process:
        curls = [line for line in read_guide(process) if line.startswith("curl ") and "/ID" not in line]
        assert len(curls) == 6
        for curl in curls:
            made = [*shlex.split(curl), "--output", "/dev/null", "--write-out", "%{http_code}"]
            answer = subprocess.run(made, capture_output=True, text=True, timeout=30, check=True)
            assert answer.stdout in ("200", "202"), curl
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert left_behind(process) == []
    assert process.returncode == 0


def test_a_service_that_dies_ends_the_command_with_the_reason() -> None:
    with command("up") as process:
        read_guide(process)
        host = subprocess.run(
            ["pgrep", "-f", rf"dev\.functions_host .*-{process.pid}/"], capture_output=True, text=True
        )
        subprocess.run(["kill", "-KILL", *host.stdout.split()], check=True)
        _, errors = process.communicate(timeout=30)
        assert left_behind(process) == []
    assert process.returncode == 1
    assert "The Functions host has ended by itself (exit code -9). The end of its log" in errors


@pytest.mark.once
def test_the_story_of_a_missing_role_says_what_to_do_and_heals_once_it_is_done() -> None:
    with command("demo", "--story", "permission", "--json") as process:
        output, errors = process.communicate(timeout=110)
        left = left_behind(process)
    assert process.returncode == 0, errors
    assert "az role assignment create" in errors
    result = json.loads(output.splitlines()[-1])
    assert (result["status"], result["armCallsByKind"]["sync"]) == ("Healed", 2)
    assert left == []
