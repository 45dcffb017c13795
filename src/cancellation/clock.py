"""Time: where deadlines come from, and a clock that only a test moves."""

from __future__ import annotations

import heapq
import itertools
import math
import os
import threading
import time
from collections.abc import Callable
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


class Timer:
    """One call, due at one time. Whether fired or disposed, it then holds on to nothing. Thread-safe."""

    __slots__ = ("callback", "due")

    def __init__(self, callback: Callable[[], object], due: float) -> None:
        self.callback: Callable[[], object] | None = callback
        self.due = due

    def dispose(self) -> None:
        """Never call back; harmless if it has done so already."""
        self.callback = None

    def fire(self) -> list[BaseException]:
        # The error is returned, not raised: whoever collects errors must not be a frame of their tracebacks.
        callback, self.callback = self.callback, None
        try:
            if callback is not None:
                callback()
        except BaseException as error:
            return [error]
        return []


class _Timers:
    """Timers by due time. Re-entrant, as a signal handler may come in at any point."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()  # timers due together fire in the order of their making
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
            return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= now else None

    def next_due(self) -> float | None:
        with self._lock:
            return self._heap[0][0] if self._heap else None

    def dispose(self) -> list[Timer]:
        """Empty it; returns the timers that were pending."""
        pending, self._heap = self._heap, []
        return [timer for _, _, timer in pending]


class TimeProvider:
    """A clock with timers. `TimeProvider.system` is the real one; subclass it to bring your own.

    The system's timers all share one daemon thread, which starts with the first timer. Their callbacks run
    on it; an error in one goes to `threading.excepthook` and harms no other timer. Thread-safe.

    .NET: https://learn.microsoft.com/dotnet/api/system.timeprovider
    """

    system: ClassVar[TimeProvider]

    get_timestamp = staticmethod(time.monotonic)
    """Seconds on a clock that never goes back; only differences mean anything."""

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
        self._until = 0  # where the calls of `advance` lead, those of other threads too
        self._advancing: set[int] = set()  # threads
        self._timers = _Timers()

    def get_timestamp(self) -> float:
        return self._now / NANOSECONDS

    def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
        """Call `callback()` once, when `advance` has moved the time on by `delay` seconds; on that thread."""
        timer = Timer(callback, self._now + round(delay * NANOSECONDS))
        self._timers.add(timer)
        return timer

    def advance(self, seconds: float | timedelta) -> None:
        """Move the time on; the timers that come due fire here, on this thread, each at its own instant.

        A callback's error comes out of `advance` when all due timers have fired: the error itself, or an
        `ExceptionGroup` where several failed.
        """
        step, thread = round(to_seconds(seconds, "seconds") * NANOSECONDS), threading.get_ident()
        within = thread in self._advancing  # a callback advances: from its own instant on
        with self._timers._lock:
            until = (self._now if within else self._until) + step
            self._until = max(self._until, until)
        self._advancing.add(thread)
        try:
            raise_it(self._advance_to(until))
        finally:
            if not within:
                self._advancing.discard(thread)

    def _advance_to(self, until: int) -> BaseException | None:
        errors: list[BaseException] = []
        while (timer := self._timers.take_due(until)) is not None:
            self._move_to(timer.due)
            errors += timer.fire()
        self._move_to(until)
        try:
            return group(errors) if len(errors) > 1 else errors.pop() if errors else None
        finally:
            del errors  # the callbacks' tracebacks keep this frame, which must not keep the errors

    def _move_to(self, instant: float) -> None:
        with self._timers._lock:
            self._now = max(self._now, int(instant))  # a callback, or another thread, may have advanced further

    def __del__(self) -> None:
        for timer in self._timers.dispose():  # nobody can advance it any more; a token and its timer hold each other
            timer.dispose()


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
        is_next = super().add(timer)
        if is_next:
            self._wake.put(None)
        if self._thread is None:
            with self._lock:
                self._start()
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
