"""Installation steps: quiet when they work, telling when they fail."""

import asyncio
import fcntl
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dev.processes.errors import Failure
from dev.setup.steps import Progress, Step, explanation, one_at_a_time, run_step


def step(tmp_path: Path, code: str) -> Step:
    return Step("The package", [sys.executable, "-c", code], tmp_path / "logs" / "install.log")


def test_a_step_that_works_shows_what_and_how_long_and_none_of_its_output(tmp_path: Path) -> None:
    shown = io.StringIO()
    asyncio.run(run_step(step(tmp_path, "print('chatter')"), Progress(shown)))
    assert shown.getvalue() == "Installing The package ...\nInstalled The package in 0 s.\n"
    assert (tmp_path / "logs" / "install.log").read_text() == "chatter\n"


def test_a_step_that_fails_shows_all_of_its_output_the_reason_and_the_way_out(tmp_path: Path) -> None:
    code = "print('first\\n' * 99); raise SystemExit('npm error code ENOTFOUND')"
    with pytest.raises(Failure) as failure:
        asyncio.run(run_step(step(tmp_path, code), Progress(io.StringIO())))
    message = str(failure.value)
    assert message.count("first") == 99 + 1  # and once in the command
    for part in ("The package could not be installed: exit code 1", "Check the internet", "install.log"):
        assert part in message


def test_a_program_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.setup.steps.bound_to_parent", list)
    missing = Step("The package", ["/no/such/npm"], tmp_path / "log")
    with pytest.raises(Failure, match=r"The package cannot be installed: .*/no/such/npm"):
        asyncio.run(run_step(missing, Progress(io.StringIO())))


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        (
            "NewConnectionError('<pip._vendor...>')\nERROR: No matching distribution found",
            "internet connection",
        ),
        ("npm error errno ENOSPC", "disk is full"),
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]",
            "certificate is not trusted",
        ),
        ("because ensurepip is not\navailable", None),
        ("virtual environment was not created because ensurepip is not available", "python3-venv"),
        ("ERROR: No matching distribution found for x==1", "no build for this Python"),
        ("SyntaxError", None),
    ],
)
def test_common_reasons_are_known(output: str, advice: str | None) -> None:
    found = explanation(output)
    assert (found is None) == (advice is None)
    assert advice is None or advice in (found or "")


def test_a_second_installation_says_that_it_waits_and_goes_on_after_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from dev.setup.steps import Progress, one_at_a_time\n"
        "with one_at_a_time(Path(sys.argv[1]), Progress(sys.stdout)): print('mine', flush=True)"
    )
    with lock.open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        command = [sys.executable, "-c", code, str(lock)]
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline().startswith("Another command is installing")
    output, _ = second.communicate(timeout=10)
    assert output == "mine\n"


def test_the_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    progress = Progress(io.StringIO())
    for _ in range(2):
        with one_at_a_time(tmp_path / "lock", progress):
            pass


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_one_line_is_redrawn_and_one_left(tmp_path: Path) -> None:
    shown = Terminal()
    progress = Progress(shown)

    async def install() -> None:
        async with progress.shown():
            await run_step(step(tmp_path, "import threading; threading.Event().wait(0.5)"), progress)

    asyncio.run(install())
    lines = shown.getvalue().split("\n")
    assert "\r\033[KInstalling The package (0 s)" in lines[0]
    assert re.search(r"\r\033\[KInstalled The package in \d+ s\.$", lines[0])
    assert lines[1:] == [""]
