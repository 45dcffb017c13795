"""Time: where deadlines come from, and a clock that only a test moves.

.NET: https://learn.microsoft.com/dotnet/api/system.timeprovider
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from numbers import Real
from typing import ClassVar


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


class Timer:
    """One call, due at one time. `dispose()` drops it; a timer that has fired holds on to nothing."""

    __slots__ = ("callback", "due")

    def __init__(self, callback: Callable[[], object], due: float) -> None:
        self.callback: Callable[[], object] | None = callback
        self.due = due

    def dispose(self) -> None:
        """Never call back; harmless if it has done so already. Any thread."""
        self.callback = None

    def fire(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class _Timers:
    """Timers by due time. Every step is a single C call under an `RLock`, so a signal handler may come between."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()  # timers due together fire in the order of their making
        self._sweep_at = 1000

    def add(self, timer: Timer) -> bool:
        """True if it is now the next one due."""
        with self._lock:
            if len(self._heap) >= self._sweep_at:  # forgotten deadlines must not pile up until they are due
                self._heap = [item for item in self._heap if item[2].callback is not None]
                heapq.heapify(self._heap)
                self._sweep_at = 2 * len(self._heap) + 1000
            heapq.heappush(self._heap, (timer.due, next(self._order), timer))
            return self._heap[0][2] is timer

    def take_due(self, now: float) -> Timer | None:
        with self._lock:
            return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= now else None

    def next_due(self) -> float | None:
        with self._lock:
            while self._heap and self._heap[0][2].callback is None:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else None


class TimeProvider:
    """A clock with timers. `TimeProvider.system` is the real one; subclass it to bring your own.

    The system's timers all share one daemon thread, which starts with the first timer. Their callbacks run
    on it; an error in one goes to `threading.excepthook` and harms no other timer. Thread-safe.

    .NET: https://learn.microsoft.com/dotnet/api/system.timeprovider
    """

    system: ClassVar[TimeProvider]

    def get_timestamp(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        return time.monotonic()

    def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
        """Call `callback()` once, `delay` seconds from now, on another thread; never before this returns."""
        timer = Timer(callback, self.get_timestamp() + delay)
        _alarm.add(timer)
        return timer


class FakeTimeProvider(TimeProvider):
    """A clock that stands still until `advance` moves it: tests of deadlines take no real time.

    .NET: https://learn.microsoft.com/dotnet/api/microsoft.extensions.time.testing.faketimeprovider
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._timers = _Timers()

    def get_timestamp(self) -> float:
        return self._now

    def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
        timer = Timer(callback, self._now + delay)
        self._timers.add(timer)
        return timer

    def advance(self, seconds: float | timedelta) -> None:
        """Move the time on; the timers that come due fire here, on this thread, each at its own instant.

        A callback's error comes out of `advance` when all due timers have fired: the error itself, or an
        `ExceptionGroup` where several failed.
        """
        until = self._now + to_seconds(seconds, "seconds")
        errors: list[BaseException] = []
        while (timer := self._timers.take_due(until)) is not None:
            self._now = max(self._now, timer.due)
            errors += _fire(timer)
        self._now = until
        if errors:
            error = errors.pop() if len(errors) == 1 else BaseExceptionGroup("errors in timer callbacks", errors)
            errors = []  # the traceback holds this frame: without this, frame and error would hold each other
            try:
                raise error
            finally:
                del error


def _fire(timer: Timer) -> list[BaseException]:
    try:
        timer.fire()
    except BaseException as error:
        return [error]
    return []


class _Alarm:
    """The thread behind `TimeProvider.system`."""

    def __init__(self) -> None:
        self._timers = _Timers()
        self._lock = threading.RLock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put() is safe in signal handlers
        self._thread: threading.Thread | None = None

    def add(self, timer: Timer) -> None:
        if self._timers.add(timer):
            self._wake.put(None)
        if self._thread is None:
            self.start()

    def start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cancellation-timers", daemon=True)
                self._thread.start()

    def after_fork(self) -> None:
        # Threads stay behind in a fork, and locks may be held by one of them. The deadlines go on.
        pending = self._timers._heap
        self.__init__()  # type: ignore[misc]
        for _, _, timer in pending:
            self.add(timer)

    def _run(self) -> None:
        while True:
            while (timer := self._timers.take_due(time.monotonic())) is not None:
                self._fire(timer)
            due = self._timers.next_due()
            try:
                pause = None if due is None else min(max(due - time.monotonic(), 0), threading.TIMEOUT_MAX)
                self._wake.get(timeout=pause)
            except queue.Empty:
                pass

    def _fire(self, timer: Timer) -> None:
        try:
            timer.fire()
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))


TimeProvider.system = TimeProvider()
_alarm = _Alarm()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alarm.after_fork)
