"""Waking a task within another's step writes nothing to the loop's pipe. Everywhere else the loop may be asleep."""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from token_helpers import PATIENCE

from cancellation import CancellationTokenSource, OperationCanceledError, cancel_scope, delay, run_until_canceled

try:
    import uvloop
except ImportError:
    uvloop = None
FOREVER = 1000
WAITS: list[Callable[[Any], Any]] = [
    lambda token: token.wait_async(),
    lambda token: delay(FOREVER, token),
    lambda token: run_until_canceled(asyncio.sleep(FOREVER), token),
    lambda token: sleep_in_scope(token),
]


async def sleep_in_scope(token: Any) -> None:
    async with cancel_scope(token):
        await asyncio.sleep(FOREVER)


@pytest.fixture(params=["asyncio", "uvloop", "eager tasks"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    if request.param == "uvloop" and uvloop is None:
        pytest.skip("uvloop is not installed; it does not exist for Windows")
    if request.param == "eager tasks" and not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
        if request.param == "eager tasks":
            runner.get_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        yield runner


class Watchdog:
    """Ends a loop that sleeps on, from a thread: a timer of the loop itself would wake it."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self.bit = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        if not self._done.wait(PATIENCE):
            self.bit = True
            assert self._task is not None
            self._loop.call_soon_threadsafe(self._task.cancel)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        assert not self.bit, "the loop slept on"


class Pipe:
    """Counts the calls that write to the loop's pipe."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        write = loop.call_soon_threadsafe

        def counted(*arguments: Any) -> Any:
            self.writes += 1
            return write(*arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)


@pytest.mark.parametrize("wait", WAITS)
def test_a_cancel_writes_to_the_loops_pipe_only_where_the_loop_may_be_asleep(
    wait: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pipe = Pipe(loop, monkeypatch)
        for where in ("in a task's step", "in no task's step", "in a loop that may be nested"):
            source = CancellationTokenSource()
            task = asyncio.create_task(wait(source.token))
            await asyncio.sleep(0)
            pipe.writes = 0
            if where == "in no task's step":  # as in a signal handler, which wakes a loop out of its sleep
                loop.call_soon(source.cancel)
            else:
                if where == "in a loop that may be nested":  # https://github.com/erdewit/nest_asyncio
                    loop._nest_patched = True  # type: ignore[attr-defined]
                source.cancel()
            await asyncio.wait([task])
            assert task.exception() is None or type(task.exception()) is OperationCanceledError
            assert pipe.writes == (0 if where == "in a task's step" else 1)

    asyncio.run(main())


class Storm(threading.Thread):
    """Sends a signal to the main thread a moment after each request, and again until it is handled.

    One that comes right before the loop goes to sleep is handled only when it wakes: Python's own race, as no wake-up
    descriptor is set (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd). SIGALRM is pytest-timeout's.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.wanted: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self.handled = threading.Event()
        self.start()

    def run(self) -> None:
        while (pause := self.wanted.get()) is not None:
            time.sleep(pause)
            self.handled.clear()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            while not self.handled.wait(0.02):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there is no pthread_kill here")
@pytest.mark.parametrize("wait", WAITS)
def test_a_storm_of_signals_never_leaves_a_loop_asleep(runner: asyncio.Runner, wait: Callable[[Any], Any]) -> None:
    """A handler may come while the loop sleeps, while it turns, and within a task's step."""

    async def main() -> None:
        nonlocal source
        with Watchdog():
            for round_ in range(150):
                source = CancellationTokenSource()
                task = asyncio.ensure_future(wait(source.token))
                storm.wanted.put(0.00002 * (round_ % 40))
                if round_ % 2:  # else the loop goes to sleep at once
                    while not source.is_cancellation_requested:  # noqa: ASYNC110
                        await asyncio.sleep(0)
                await asyncio.wait([task])
                assert task.exception() is None or type(task.exception()) is OperationCanceledError
                assert source.is_cancellation_requested

    def handler(number: int, frame: FrameType | None) -> None:
        source.cancel("signal")
        storm.handled.set()

    source = CancellationTokenSource()
    before = signal.signal(signal.SIGUSR1, handler)
    storm = Storm()
    try:
        runner.run(main())
    finally:
        storm.wanted.put(None)
        storm.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("wait", WAITS)
def test_a_cancel_within_a_step_wakes_the_others_at_once(runner: asyncio.Runner, wait: Callable[[Any], Any]) -> None:
    async def main() -> None:
        with Watchdog():
            for _ in range(100):
                source = CancellationTokenSource()
                tasks = [asyncio.ensure_future(wait(source.token)) for _ in range(3)]
                await asyncio.sleep(0)
                source.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    runner.run(main())
