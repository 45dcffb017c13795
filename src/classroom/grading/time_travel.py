"""An event loop whose time jumps while everybody waits: a wait of a minute takes no time, and exactly a minute.

Timers, `asyncio.sleep`, `asyncio.timeout`, `delay`, deadlines of tokens, the clocks of `time`: all see the loop's time.
It jumps only while nobody else could act: no thread beside the loop's own, no open socket. Otherwise it is real time,
as ever.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cancellation import TimeProvider
from cancellation.clock import Timer


class EverybodyWaits(RuntimeError):
    """All tasks wait, no timer is due, and no thread and no socket is left that could wake anybody."""


class TimeTravelLoop(asyncio.SelectorEventLoop):
    """`companions`: names of threads that never act on the loop."""

    def __init__(self, companions: frozenset[str] = frozenset()) -> None:
        self._skipped = 0.0
        self._real_time = time.monotonic  # kept: the code that runs here may replace it
        super().__init__(_Jumping(self._skip, companions))

    def time(self) -> float:
        return self._real_time() + self._skipped

    def _skip(self, seconds: float) -> None:
        self._skipped += seconds

    def travelling(self, clock: Callable[[], float]) -> Callable[[], float]:
        """That clock, put forward by as much as the loop's time has jumped."""
        return lambda: clock() + self._skipped


class _Jumping(selectors.BaseSelector):
    """The usual selector, but a wait that only a timer can end is over at once."""

    def __init__(self, skip: Callable[[float], None], companions: frozenset[str]) -> None:
        self._real = selectors.DefaultSelector()
        self._skip = skip
        self._companions = companions | {threading.current_thread().name}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if not self._is_alone():
            return self._real.select(timeout)
        if timeout is None:
            raise EverybodyWaits
        self._skip(timeout)
        return []

    def _is_alone(self) -> bool:
        others = [thread for thread in threading.enumerate() if thread.name not in self._companions]
        return not others and len(self._real.get_map()) == 1  # the loop's own wake-up pipe

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def let_all_see_the_time_of(loop: TimeTravelLoop) -> None:
    """From here on deadlines of tokens are timers of `loop`, and clocks go by it, for the whole process."""
    for name in ("monotonic", "perf_counter", "time"):  # who waits in a loop until one says so has waited, too
        setattr(time, name, loop.travelling(getattr(time, name)))

    def create_timer(callback: Callable[[], object], delay: float) -> Timer:
        timer = Timer(callback, loop.time() + delay)
        if asyncio._get_running_loop() is loop:
            loop.call_later(delay, timer.fire)
        else:
            loop.call_soon_threadsafe(loop.call_later, delay, timer.fire)
        return timer

    vars(TimeProvider.system).update(create_timer=create_timer, get_timestamp=loop.time)
