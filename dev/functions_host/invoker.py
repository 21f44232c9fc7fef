"""One call of a function: decode, run on the thread pool, encode, send outputs, log.

Log lines have the words of the real host (`Executing 'Functions.name' (Reason='...', Id=...)`), so that a search
that works on the local log works on the log in Azure.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from dev.functions_host.bindings import Binding, LocalFunction

SendOutput = Callable[[Binding, Datum], Awaitable[None]]


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended; `returned` is the encoded $return value, `error` the reason of its failure."""

    returned: Datum | None = None
    error: BaseException | None = None

    @property
    def succeeded(self) -> bool:
        """True when the function returned and every output was sent."""
        return self.error is None


class OutputValue(func.Out[Any]):
    """The argument for a function's `func.Out` parameter; holds the last value set."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Keep the value; it is sent only when the function has returned."""
        self._value = val

    def get(self) -> Any:
        """The last value set, or None."""
        return self._value


class Invoker:
    """Runs functions and knows which invocations are under way."""

    def __init__(self, send_output: SendOutput, threads: int | None = None) -> None:
        """Functions share so many threads; None: as many as Python's default is, as in Azure's worker."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="function")
        self._send_output = send_output
        self._running: set[asyncio.Task[Any]] = set()

    async def invoke(self, function: LocalFunction, datum: Datum, *, reason: str) -> Outcome:
        """Call the function once. Never raises for what the function does: the outcome carries the error."""
        invocation_id = str(uuid.uuid4())
        logger = logging.getLogger(f"Function.{function.name}")
        logger.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, invocation_id)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        started = time.monotonic()
        try:
            outcome = Outcome(returned=await self._run(function, datum))
        # A function may raise anything, SystemExit included: it ends the invocation, never the host.
        except (Exception, SystemExit) as error:
            outcome = Outcome(error=error)
        finally:
            self._running.discard(task)
        milliseconds = round((time.monotonic() - started) * 1000)
        level, word = (logging.INFO, "Succeeded") if outcome.succeeded else (logging.ERROR, "Failed")
        line = "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)"
        logger.log(level, line, function.name, word, invocation_id, milliseconds, exc_info=outcome.error)
        return outcome

    async def _run(self, function: LocalFunction, datum: Datum) -> Datum | None:
        outputs = {name: OutputValue() for name in function.outputs}
        arguments: Mapping[str, Any] = {function.trigger.name: function.trigger.decode(datum), **outputs}
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._threads, lambda: function.call(**arguments))
        # All outputs are encoded before the first is sent: a bad value must not leave half of them behind.
        values = [(function.outputs[name], output.get()) for name, output in outputs.items()]
        encoded = [(binding, binding.encode(value)) for binding, value in values if value is not None]
        # None is encoded too: with a $return binding it fails here exactly as it does in Azure.
        returned = function.returns.encode(result) if function.returns else None
        for binding, output_datum in encoded:
            await self._send_output(binding, output_datum)
        return returned

    async def drain(self, seconds: float) -> int:
        """Wait for the invocations under way; returns how many were still running after `seconds`."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return len(self._running)
