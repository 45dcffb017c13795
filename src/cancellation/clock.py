"""Time: where deadlines come from, and a clock that only a test moves."""

from __future__ import annotations

import heapq
import itertools
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from numbers import Real
from queue import Empty, SimpleQueue
from typing import ClassVar

from cancellation.errors import group, raise_it


def to_seconds(delay: float | timedelta, name: str = "delay") -> float:
    """`delay` as a float of seconds. `TypeError` or `ValueError`, with the value, if it is not a time to wait."""
    if isinstance(delay, timedelta):
        seconds = delay.total_seconds()
    elif isinstance(delay, Real) and not isinstance(delay, bool):
        try:
            seconds = float(delay)
        except OverflowError:  # an int beyond every float
            seconds = math.inf
    else:
        raise TypeError(f"{name} must be a number of seconds, a timedelta, or None for never, not {delay!r}")
    if not 0 <= seconds < math.inf:  # NaN fails both
        raise ValueError(f"{name} must be a finite number of seconds from 0 up, or None for never, not {delay!r}")
    return seconds


NANOSECONDS = 1_000_000_000  # in a second
_REST = 100  # turns of the loop, between two timers of `advance_async`


class Timer:
    """One call that is due at one time: what `TimeProvider.create_timer` returns.

    A clock of your own may return this, or any object whose `dispose()` keeps the same promises. After `dispose` the
    timer does not fire; a call that has already begun may go on. `dispose` may be called more than once, before or
    after the timer has fired, and from any thread, signal handler or `__del__`. A timer that is over drops its
    callback, because that may keep a token alive.

    `due` is a time on the clock that made the timer, in that clock's unit. The clock calls `fire` then.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.itimer
    """

    __slots__ = ("callback", "due")

    def __init__(self, callback: Callable[[], object], due: float) -> None:
        self.callback: Callable[[], object] | None = callback
        self.due = due

    def dispose(self) -> None:
        """Keep it from firing. Harmless if it has fired already."""
        self.callback = None

    def fire(self) -> list[BaseException]:
        """Call the callback, unless disposed. For the clock that made this timer. Returns the error, if any."""
        # The error is returned, not raised: the code that collects errors must not be a frame in their tracebacks.
        try:
            if (callback := self.callback) is not None:
                callback()
        except BaseException as error:
            return [error]
        finally:
            self.callback = None  # not before: a process forked meanwhile has to begin anew
        return []


class _Timers:
    """Timers by due time. Re-entrant, as a signal handler may come in at any point."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._heap: list[tuple[float, int, Timer]] = []
        self._firing: Timer | None = None
        self._order = itertools.count()  # timers due together fire in the order in which they were made
        self._sweep_at = 1000

    def add(self, timer: Timer) -> bool:
        """True if it is now the next one due."""
        with self._lock:
            if len(self._heap) >= self._sweep_at:  # forgotten deadlines must not pile up until they are due
                swept, self._heap = self._heap, []
                for item in swept:
                    if item[2].callback is not None:
                        heapq.heappush(self._heap, item)
                self._sweep_at = 2 * len(self._heap) + 1000
            item = (timer.due, next(self._order), timer)
            heapq.heappush(self._heap, item)  # no call stands between the look at the heap and the push
            return self._heap[0][2] is timer

    def take_due(self, now: float) -> Timer | None:
        with self._lock:
            if not self._heap or self._heap[0][0] > now:
                return None
            self._firing = self._heap[0][2]
            return heapq.heappop(self._heap)[2]

    def next_due(self) -> float | None:
        with self._lock:
            return self._heap[0][0] if self._heap else None

    def dispose(self) -> list[Timer]:
        """Empty it; returns the timers that were pending, or about to fire."""
        pending, self._heap = self._heap, []
        return list(dict.fromkeys([timer for _, _, timer in pending] + ([self._firing] if self._firing else [])))


class TimeProvider:
    """A clock with timers. `TimeProvider.system` is the real one.

    The system's timers all share one daemon thread, which starts with the first timer. Their callbacks run
    on it; an error in one goes to `threading.excepthook` and harms no other timer. Thread-safe.

    Where Python cannot start such a thread (in a browser, in an isolated subinterpreter), a timer rides on the running
    event loop: it fires while your coroutine waits at an `await`, and is lost when that loop ends. `RuntimeError` where
    no loop is running.

    To bring a clock of your own, subclass this and override `create_timer`, and `get_timestamp` for code that reads the
    time. `Timer` says what `create_timer` has to return.

    .NET: https://learn.microsoft.com/dotnet/api/system.timeprovider
    """

    system: ClassVar[TimeProvider]

    get_timestamp = staticmethod(time.monotonic)
    """Seconds on a clock that never goes back. Only the difference of two values means anything."""

    def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
        """Call `callback()` once, `delay` seconds from now, on another thread; never before this returns."""
        timer = Timer(callback, time.monotonic() + delay)  # the alarm's clock, whatever a subclass calls the time
        _alarm.add(timer)
        return timer


class FakeTimeProvider(TimeProvider):
    """A clock that stands still until `advance` moves it: tests of deadlines take no real time. Thread-safe.

    .NET: https://learn.microsoft.com/dotnet/api/microsoft.extensions.time.testing.faketimeprovider
    """

    def __init__(self) -> None:
        # In whole nanoseconds: ten times 0.1 seconds is a second.
        self._now = 0
        self._until = 0  # the time that all calls of `advance`, on any thread, lead to
        self._advancing: list[int] = []  # the threads of these calls
        self._fired = 0  # timers
        self._timers = _Timers()

    def get_timestamp(self) -> float:
        return self._now / NANOSECONDS

    def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
        """Call `callback()` once, when `advance` has moved the time on by `delay` seconds; on that thread."""
        timer = Timer(callback, self._now + _in_nanoseconds(delay))
        self._timers.add(timer)
        return timer

    def advance(self, seconds: float | timedelta) -> None:
        """Move the time on; the timers that come due fire here, on this thread, each at its own instant.

        A callback's error comes out of `advance` when all due timers have fired: the error itself, or an
        `ExceptionGroup` where several failed. `TypeError` or `ValueError` for a time that is none.
        """
        errors: list[BaseException] = []
        with self._advancing_by(seconds) as until:
            while self._fire_next(until, errors):
                pass
        raise_it(_as_one(errors))

    async def advance_async(self, seconds: float | timedelta) -> None:
        """Like `advance`, but let the loop's tasks go on: before it, and after each timer that fires.

        So a task that goes back to sleep on this clock wakes again in the same call. Each time the running loop makes a
        hundred turns: enough for a chain of a hundred tasks that wake each other. Calls at the same time
        share the way: two of 5 seconds are 5 seconds. Errors come out as from `advance`.

        Kotlin: https://kotlinlang.org/api/kotlinx.coroutines/kotlinx-coroutines-test/
        """
        errors: list[BaseException] = []
        with self._advancing_by(seconds) as until:
            fired = True
            while fired:
                await self._rest()
                fired = self._fire_next(until, errors)
        raise_it(_as_one(errors))

    async def _rest(self) -> None:
        from asyncio import sleep

        fired = None
        while fired != self._fired:  # another call has fired one meanwhile
            fired = self._fired
            for _ in range(_REST):
                await sleep(0)

    @contextmanager
    def _advancing_by(self, seconds: float | timedelta) -> Iterator[int]:
        """The instant to move on to. A callback that advances the clock starts from its own instant."""
        step, thread = _in_nanoseconds(to_seconds(seconds, "seconds")), threading.get_ident()
        with self._timers._lock:
            until = (self._now if thread in self._advancing else self._until) + step
            self._advancing.append(thread)
            self._until = max(self._until, until)
        try:
            yield until
        finally:
            with self._timers._lock:
                self._advancing.remove(thread)
                if not self._advancing:
                    self._until = self._now  # a call that was cancelled has not come to its end

    def _fire_next(self, until: int, errors: list[BaseException]) -> bool:
        """Move on to the next timer due up to `until`, and fire it. False if there is none: then to `until` itself."""
        timer = self._timers.take_due(until)
        self._move_to(until if timer is None else timer.due)
        if timer is not None:
            self._fired += 1
            errors += timer.fire()
        return timer is not None

    def _move_to(self, instant: float) -> None:
        with self._timers._lock:
            self._now = max(self._now, int(instant))  # a callback, or another thread, may have advanced further

    def __del__(self) -> None:
        for timer in self._timers.dispose():  # it can no longer be advanced; a token and its timer hold each other
            timer.dispose()


def _in_nanoseconds(seconds: float) -> int:
    # A float this large has no fraction, and ten to the ninth of it may be too large for any.
    return round(seconds * NANOSECONDS) if seconds < 2**53 else int(seconds) * NANOSECONDS


def _as_one(errors: list[BaseException]) -> BaseException | None:
    """The error of several callbacks. Empties the list: a frame that a traceback keeps must not keep the errors."""
    error = group(errors) if len(errors) > 1 else errors[0] if errors else None
    errors.clear()
    return error


def check_time_provider(provider: object) -> None:
    if not isinstance(provider, TimeProvider):
        raise TypeError(f"time_provider must be a TimeProvider, not {provider!r}")


class _Alarm(_Timers):
    """The timers of `TimeProvider.system`, and the thread that fires them."""

    def __init__(self) -> None:
        super().__init__()
        self._wake: SimpleQueue[None] = SimpleQueue()  # its put() is safe in signal handlers
        self._thread: threading.Thread | None = None

    def add(self, timer: Timer) -> bool:
        if self._thread is None:
            try:
                with self._lock:
                    self._start()
            except RuntimeError as error:
                no_thread = str(error)
            else:
                no_thread = ""
            if no_thread:
                _ride_on_loop(timer, no_thread)
                return False
        is_next = super().add(timer)
        if is_next:
            self._wake.put(None)
        return is_next

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="cancellation-timers", daemon=True)
        if self._thread is None:  # nor has another thread, or a signal handler in this one, started it meanwhile
            self._thread = thread
            try:
                thread.start()
            except BaseException:  # there is none to be had now; the next timer tries again
                self._thread = None
                raise

    def _run(self) -> None:
        try:
            while True:
                while (timer := self.take_due(time.monotonic())) is not None:
                    raise_it(*timer.fire())
                due = self.next_due()
                try:
                    pause = None if due is None else min(max(due - time.monotonic(), 0), threading.TIMEOUT_MAX)
                    self._wake.get(timeout=pause)
                except Empty:
                    pass
        except BaseException:
            self._thread = None
            self._start()  # this thread dies of its callback, as any thread would; the other timers go on
            raise


def _ride_on_loop(timer: Timer, no_thread: str) -> None:
    """Let the running event loop fire it: in a browser (https://pyodide.org/en/stable/usage/wasm-constraints.html) and
    in isolated subinterpreters, which have no daemon threads (https://peps.python.org/pep-0684/)."""
    loop = sys.modules["asyncio"]._get_running_loop() if "asyncio" in sys.modules else None
    if loop is None:
        raise RuntimeError(
            f"{no_thread}: a deadline needs a thread of its own or, where there is none, a running event loop. "
            "Set it within a coroutine."
        )

    def ring() -> None:
        if (left := timer.due - time.monotonic()) > 0:  # a browser's clock is coarse, and may ring early
            loop.call_later(left, ring)
        else:
            for error in timer.fire():
                threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))

    loop.call_later(max(timer.due - time.monotonic(), 0), ring)


def _after_fork() -> None:
    # A fork leaves the thread behind, and the lock in whatever state it was. The deadlines go on.
    global _alarm
    pending, _alarm = _alarm.dispose(), _Alarm()
    for timer in pending:
        _alarm.add(timer)


TimeProvider.system = TimeProvider()
_alarm = _Alarm()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
