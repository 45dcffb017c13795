"""What the tests of the token share."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cancellation import CancellationToken, TimeProvider
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


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an async test; no task, and no waiter on a token, may be left over."""

    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await test()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def run() -> None:
        asyncio.run(main(), debug=False)
        assert not CancellationToken.none._waiters

    run.__name__ = test.__name__
    return run


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


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
