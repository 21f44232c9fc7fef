"""Virtual time. Steps of hosts run as greenlets, one at a time; each call to the outside is where they take turns.

After FoundationDB's simulation ("FoundationDB: A Distributed Unbundled Transactional Key Value Store", section 4):
one thread, one clock, and every source of chance behind one seed, so that a run can be had again.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any

from greenlet import getcurrent, greenlet

from tests.support.remediations import NOW


class Killed(BaseException):
    """The process is gone; nothing of it runs on."""


class Step:
    """One run of a function of the app."""

    def __init__(self, owner: object, name: str, began: float) -> None:
        self.owner = owner
        """The host on which it runs."""
        self.name = name
        self.began = began
        self.ended: float | None = None
        self.is_disturbed = False
        """Whether it was killed, it or a call of it failed, or it took long: what it did may not be on record."""
        self.greenlet: greenlet
        self.killed: Callable[[], Any] = lambda: None
        """Hears that it was killed."""


class Scheduler:
    """Runs events and steps in the order of their times; equal times in the order in which they were given."""

    def __init__(self) -> None:
        self.time = 0.0
        """Seconds since the begin, true: no host shows just this."""
        self.is_stopped = False
        self._events: list[tuple[float, int, Callable[[], Any]]] = []
        self._order = count()
        self._hub = getcurrent()
        self.current: Step | None = None
        """The step that runs now; None in an event."""

    @property
    def now(self) -> datetime:
        """The true time."""
        return NOW + timedelta(seconds=self.time)

    @property
    def next_event_at(self) -> float:
        """When something happens next; infinite if nothing does."""
        return self._events[0][0] if self._events else float("inf")

    def after(self, seconds: float, event: Callable[[], Any]) -> None:
        """Have an event happen so much later."""
        heappush(self._events, (self.time + seconds, next(self._order), event))

    def spawn(self, step: Step, work: Callable[[], Any], then: Callable[[BaseException | None], Any]) -> None:
        """Begin a step now; `then` hears how it ended, unless it is killed."""

        def run() -> None:
            failure: BaseException | None = None
            try:
                work()
            except Killed:
                return
            except Exception as caught:
                failure = caught
            step.ended = self.time
            self.after(0, lambda: then(failure))

        step.greenlet = greenlet(run, parent=self._hub)
        self.after(0, lambda: self._resume(step))

    def pause(self, seconds: float) -> None:
        """Let others go on for so long; called by a step."""
        step = self.current
        assert step is not None
        self.after(seconds, lambda: self._resume(step))
        self._hub.switch()

    def kill(self, step: Step) -> None:
        """End a step where it stands, unless it is the current one, which is to raise `Killed` itself."""
        step.is_disturbed = True
        self.after(0, step.killed)
        if step is self.current or step.greenlet.dead:
            return
        outer, self.current = self.current, step
        step.greenlet.parent = getcurrent()
        with suppress(Killed):  # comes from one that has not begun, and so catches nothing
            step.greenlet.throw(Killed)
        self.current = outer

    def run(self, until: float) -> None:
        """Go on to this time, or to where somebody stops the run."""
        while self._events and self._events[0][0] <= until and not self.is_stopped:
            self.time, _, event = heappop(self._events)
            event()
        if not self.is_stopped:
            self.time = max(self.time, until)

    def _resume(self, step: Step) -> None:
        if not step.greenlet.dead:
            self.current = step
            step.greenlet.switch()
            self.current = None


class SwitchingLock:
    """A lock of a process whose waiters let others go on: a real one would stop the only thread there is."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_held = False

    def __enter__(self) -> None:
        while self._is_held:
            self._scheduler.pause(0.01)
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False


class InPlaceExecutor:
    """In the place of a thread pool: the work is done at once, by the step that asks for it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Threads are not needed."""

    def __enter__(self) -> "InPlaceExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is under way."""

    def map(self, work: Callable[[Any], Any], each: Iterable[Any]) -> Iterator[Any]:
        return iter([work(one) for one in each])

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        from concurrent.futures import Future

        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments))
        except Exception as failure:
            done.set_exception(failure)
        return done
