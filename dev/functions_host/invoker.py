"""One call of a function: decode, run on the thread pool or the loop, encode, send outputs, log.

Log lines have the words of the real host (`Executing 'Functions.name' (Reason='...', Id=...)`), so that what
one greps for locally is what one greps for in Azure.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from dev.functions_host.bindings import LocalFunction, Port, encode_output

_threads = threading.local()
_NO_TRACE: Mapping[str, Any] = {"trace_parent": "", "trace_state": "", "attributes": {}}
_NO_RETRY: Mapping[str, Any] = {"retry_count": 0, "max_retry_count": 0, "exception": None}
SendOutput = Callable[[Port, Datum], Awaitable[None]]


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended; `returned` is the encoded $return value, `error` what made it fail."""

    returned: Datum | None = None
    error: BaseException | None = None

    @property
    def succeeded(self) -> bool:
        """True when the function returned and every output was sent."""
        return self.error is None


class OutputValue(func.Out[Any]):
    """What a function's `func.Out` parameter is; holds the last value set."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Remember the value; it is sent only when the function has returned."""
        self._value = val

    def get(self) -> Any:
        """The last value set, or None."""
        return self._value


@dataclass(frozen=True)
class InvocationContext:
    """The `context` argument; the attributes of azure.functions.Context."""

    function_name: str
    function_directory: str
    invocation_id: str
    thread_local_storage: Any = _threads
    trace_context: Any = field(default_factory=lambda: SimpleNamespace(**_NO_TRACE))
    retry_context: Any = field(default_factory=lambda: SimpleNamespace(**_NO_RETRY))


class Invoker:
    """Runs functions and knows which invocations are under way."""

    def __init__(self, thread_count: int | None, send_output: SendOutput) -> None:
        """Sync functions share `thread_count` threads (None: Python's default, as in Azure's worker)."""
        self._threads = ThreadPoolExecutor(max_workers=thread_count, thread_name_prefix="function")
        self._send_output = send_output
        self._running: set[asyncio.Task[Any]] = set()

    async def invoke(
        self,
        function: LocalFunction,
        datum: Datum,
        *,
        reason: str,
        metadata: Mapping[str, Datum] | None = None,
        details: str = "",
    ) -> Outcome:
        """Call the function once. Never raises for what the function does: the outcome carries the error."""
        invocation_id = str(uuid.uuid4())
        logger = logging.getLogger(f"Function.{function.name}")
        logger.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, invocation_id)
        if details:
            logger.info("Trigger Details: %s", details)
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        started = time.monotonic()
        try:
            outcome = Outcome(returned=await self._run(function, datum, metadata or {}, invocation_id))
        # A function may raise anything, SystemExit included: it ends the invocation, never the host.
        except (Exception, SystemExit) as error:
            outcome = Outcome(error=error)
        finally:
            if task is not None:
                self._running.discard(task)
        _log_end(logger, function.name, invocation_id, outcome, time.monotonic() - started)
        return outcome

    async def _run(
        self, function: LocalFunction, datum: Datum, metadata: Mapping[str, Datum], invocation_id: str
    ) -> Datum | None:
        arguments: dict[str, Any] = {function.trigger.name: function.decode(datum, metadata)}
        arguments |= {name: OutputValue() for name in function.outputs}
        if function.wants_context:
            arguments["context"] = InvocationContext(function.name, function.directory, invocation_id)
        if function.is_async:
            result = await function.call(**arguments)
        else:
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, _call_on_thread, function, arguments, invocation_id
            )
        if result is not None and function.returns is None:
            raise RuntimeError(f"{function.name} without a $return binding returned a non-None value")
        return await self._send_outputs(function, arguments, result)

    async def _send_outputs(self, function: LocalFunction, arguments: Mapping[str, Any], result: Any) -> Datum | None:
        # All outputs are encoded before the first is sent: a bad value must not leave half of them behind.
        values = [(port, arguments[name].get()) for name, port in function.outputs.items()]
        encoded = [(port, encode_output(port, value)) for port, value in values if value is not None]
        returned = None
        if function.returns is not None:
            # None is encoded too: with a $return binding it fails here exactly as it does in Azure.
            returned = encode_output(function.returns, result)
            if function.returns.type != "http":
                encoded.append((function.returns, returned))
        for port, datum in encoded:
            await self._send_output(port, datum)
        return returned

    async def drain(self, seconds: float) -> int:
        """Wait for the invocations under way; returns how many were still running after `seconds`."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return len(self._running)


def _call_on_thread(function: LocalFunction, arguments: Mapping[str, Any], invocation_id: str) -> Any:
    _threads.invocation_id = invocation_id
    try:
        return function.call(**arguments)
    finally:
        _threads.invocation_id = None


def _log_end(logger: logging.Logger, name: str, invocation_id: str, outcome: Outcome, seconds: float) -> None:
    line = "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)"
    if outcome.error is None:
        logger.info(line, name, "Succeeded", invocation_id, round(seconds * 1000))
    else:
        logger.error(line, name, "Failed", invocation_id, round(seconds * 1000), exc_info=outcome.error)
