"""Services as child processes: in sessions of their own, waited for until ready, ended with all they started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from dev.processes.errors import Failure
from dev.processes.interrupts import held

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parents[2]
_STOP_TIMEOUT = 8.0
"""Seconds; more than the Functions host gives its running invocations."""
_MAX_TAIL_LINES = 25
_POLL_INTERVAL = 0.02

# prctl(2): PR_SET_PDEATHSIG is 1. It holds across exec, and is too late if the parent has ended before.
_BIND_TO_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """The command, so that it gets SIGTERM when its parent is killed. Only Linux can do this (prctl(2)).

    It must be started by the main thread: the kernel means the thread when it says parent.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _BIND_TO_PARENT, str(os.getpid()), *command]


def end_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the process and everything that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class Service:
    """One child process, its log file, and its output on stdout."""

    def __init__(self, name: str, log: Path) -> None:
        """`name` is for people; `log` gets all of stderr, and of stdout where `start` is told so."""
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._output = b""
        self._log_begins = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself; only between start and stop."""
        assert self._process is not None, f"{self.name} is not started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str], environment: Mapping[str, str], *, log_stdout: bool = False) -> None:
        """Start it in the project's directory; `wait` tells when it is ready."""
        self._output = b""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, held():
            self._log_begins = log.tell()
            self._process = subprocess.Popen(
                bound_to_parent(command),
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log if log_stdout else subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    def output(self) -> str:
        """Everything that came on stdout since the start; with `log_stdout`, on stderr too."""
        stdout: IO[bytes] | None = self._process.stdout if self._process else None
        if stdout is not None:
            self._output += stdout.read() or b""
        else:
            self._output = self.log.read_bytes()[self._log_begins :]
        return self._output.decode(errors="replace")

    def wait(self, ready: Callable[[], T | None], seconds: float = 60) -> T:
        """Call `ready` again and again until it returns something; returns that.

        Raises:
            Failure: the process has ended, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while True:
            ended = not self.running
            found = ready()
            if found is not None:
                return found
            if ended:
                raise self.failure("has ended before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"is not ready after {seconds:.0f} s")
            time.sleep(_POLL_INTERVAL)  # the state of another process can only be polled

    def failure(self, what: str) -> Failure:
        """An error that names this service, `what` happened to it, and shows the end of its log."""
        code = self._process.poll() if self._process else None
        exit_code = "" if code is None else f" (exit code {code})"
        return Failure(f"{self.name} {what}{exit_code}. {tail(self.log)}")

    def stop(self) -> None:
        """End it; see `stop_all`."""
        stop_all([self])

    def _end(self, number: int) -> None:
        if self._process is not None:
            end_group(self._process, number)

    def _close(self) -> None:
        if self._process is None:
            return
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


def stop_all(services: Sequence[Service]) -> None:
    """Send all SIGTERM, wait for all together (8 s at most), and kill whatever is left of their sessions."""
    with held():
        started = [service for service in services if service._process is not None]
        for service in started:
            service._end(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT
        for service in started:
            with suppress(subprocess.TimeoutExpired):
                service.process.wait(max(0, deadline - time.monotonic()))
        for service in started:
            service._end(signal.SIGKILL)
            service._close()


def tail(log: Path) -> str:
    """The end of a log file, for an error message, and where the whole is."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"Its log cannot be read: {error}"
    if not lines:
        return f"It said nothing; its log is {log}"
    shown = "\n".join(f"    {line}" for line in lines[-_MAX_TAIL_LINES:])
    return f"The end of its log, {log}:\n{shown}"
