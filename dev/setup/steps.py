"""Installation steps: hidden behind one line while they work, shown whole when they fail. Stdlib only."""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from dev.processes.errors import Failure
from dev.processes.service import bound_to_parent

_REDRAW_INTERVAL = 0.2
_REASONS = (
    (
        r"NewConnectionError|NameResolutionError|Name or service not known|ConnectTimeout|ProxyError"
        r"|Temporary failure in name resolution|Connection refused"
        r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH",
        "The package registry cannot be reached. Check the internet connection and the proxy settings"
        " (HTTPS_PROXY), or point pip and npm to a mirror, then run the command again.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT",
        "The package registry's certificate is not trusted. Behind a proxy that opens TLS, let PIP_CERT and"
        " NODE_EXTRA_CA_CERTS name its CA, then run the command again.",
    ),
    (
        r"No space left on device|ENOSPC",
        "The disk is full. Make room (about 500 MB), then run the command again.",
    ),
    (
        r"ensurepip is not available|No module named '?ensurepip",
        "This Python came without its venv module. On Debian and Ubuntu: apt install python3-venv;"
        " then run the command again.",
    ),
    (
        r"No matching distribution found",
        "A package has no build for this Python or this machine; the lines above name it. Python 3.11 and"
        " 3.13 are what the project is tested with.",
    ),
)


class Progress:
    """Shows which packages are being installed, and for how long: a redrawn line, or plain lines without a terminal."""

    def __init__(self, out: TextIO) -> None:
        """Writes to `out`, as a rule stderr."""
        self._out = out
        self._live = out.isatty()
        self._running: dict[str, float] = {}
        self._finished: list[str] = []
        self._began = time.monotonic()

    def begin(self, what: str) -> None:
        """Show that the installation of `what` has begun."""
        self._running[what] = time.monotonic()
        if not self._live:
            self._line(f"Installing {what} ...")

    def end(self, what: str) -> None:
        """Show that the installation of `what` has ended well."""
        seconds = time.monotonic() - self._running.pop(what)
        self._finished.append(what)
        if not self._live:
            self._line(f"Installed {what} in {seconds:.0f} s.")

    def say(self, text: str) -> None:
        """Show a line of its own."""
        self._clear()
        self._line(text)

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Redraw while the block runs, and leave one line about the whole behind."""
        redrawing = asyncio.create_task(self._redraw()) if self._live else None
        try:
            yield
        finally:
            if redrawing:
                redrawing.cancel()
                self._clear()
        if self._live:
            self._line(f"Installed {', '.join(self._finished)} in {time.monotonic() - self._began:.0f} s.")

    async def _redraw(self) -> None:
        while True:
            now = time.monotonic()
            parts = [f"{what} ({now - since:.0f} s)" for what, since in self._running.items()]
            self._out.write(f"\r\033[K{('Installing ' + ', '.join(parts))[: shutil.get_terminal_size().columns - 1]}")
            self._out.flush()
            await asyncio.sleep(_REDRAW_INTERVAL)

    def _clear(self) -> None:
        if self._live:
            self._out.write("\r\033[K")

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)


@dataclass(frozen=True)
class Step:
    """One command of an installation."""

    what: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    directory: Path | None = None


async def run_step(step: Step, progress: Progress) -> None:
    """Run the command with its output in the step's log.

    Raises:
        Failure: it did not end with 0; with all of its output, a known reason, and a way out.
    """
    step.log.parent.mkdir(parents=True, exist_ok=True)
    progress.begin(step.what)
    try:
        with step.log.open("wb") as log:
            code = await _run(step, log.fileno())
    except OSError as error:
        raise Failure(f"{step.what} cannot be installed: {error}") from error
    if code:
        raise _failure(step, code)
    progress.end(step.what)


async def _run(step: Step, output: int) -> int:
    process = await asyncio.create_subprocess_exec(
        *bound_to_parent(step.command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        cwd=step.directory,
        env=dict(step.environment),
        start_new_session=True,
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            # Half an installation is repeated from its start, so nothing is gained by a soft end.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _failure(step: Step, code: int) -> Failure:
    output = step.log.read_text(encoding="utf-8", errors="replace").strip()
    advice = explanation(output) or "The reason is in the lines above; mend it and run the command again."
    command = " ".join(str(part) for part in step.command)
    return Failure(
        f"{output}\n\n{step.what} could not be installed: exit code {code} of\n    {command}\n{advice}"
        f"\nThe output above is also in {step.log}"
    )


def explanation(output: str) -> str | None:
    """The reason and the way out, if the output shows one of the common reasons."""
    for pattern, advice in _REASONS:
        if re.search(pattern, output):
            return advice
    return None


@contextlib.contextmanager
def one_at_a_time(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock file, so that two commands in one checkout do not install into each other.

    The lock goes with its process, however that ends (flock(2)).
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("Another command is installing in this checkout; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def stderr_progress() -> Progress:
    """Progress on stderr: stdout belongs to results."""
    return Progress(sys.stderr)


def run_installation(installation: Coroutine[object, object, None]) -> None:
    """Run steps, also several side by side.

    Raises:
        Failure: one of them failed, or several; the message has each.
    """
    try:
        asyncio.run(installation)
    except* Failure as failures:
        raise Failure("\n\n".join(str(failure) for failure in _leaves(failures))) from None


def _leaves(group: BaseExceptionGroup[Failure]) -> list[Failure]:
    leaves: list[Failure] = []
    for entry in group.exceptions:
        leaves += _leaves(entry) if isinstance(entry, BaseExceptionGroup) else [entry]
    return leaves
