"""What the tests of the token share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from cancellation import TimeProvider
from cancellation.clock import Timer

T = TypeVar("T")

PATIENCE = int(os.environ.get("PATIENCE", "20"))  # seconds until a test gives up waiting: never, unless all is broken


class Worker(threading.Thread):
    """A thread whose result, or error, `result()` gives back."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._error: BaseException | None = None
        self._value: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error

    def result(self, timeout: float = PATIENCE) -> Any:
        self.join(timeout)
        assert not self.is_alive(), "the thread hangs"
        if self._error is not None:
            raise self._error
        return self._value


def in_thread(function: Callable[[], T]) -> T:
    value: T = Worker(function).result()
    return value


class Blocker:
    """A callback that says when it has started, and returns when it is let."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.let_go = threading.Event()
        self.done = False

    def __call__(self) -> None:
        self.started.set()
        assert self.let_go.wait(PATIENCE)
        self.done = True


class HeldClock(TimeProvider):
    """A clock that is stopped between taking a timer that is due and calling it back: `fired()` lets it go on."""

    def __init__(self) -> None:
        self.taken: list[Callable[[], object]] = []

    def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
        self.taken.append(callback)
        return Timer(callback, 0)

    def fired(self) -> None:
        self.taken.pop(0)()
