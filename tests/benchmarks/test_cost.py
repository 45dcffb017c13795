"""What a token costs, beside its peers, in one run (DESIGN 2.4). `make bench` prints the table.

The first line of each group is what the others are compared with.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import cantok
import pytest

from cancellation import CancellationTokenSource

link = CancellationTokenSource.create_linked_token_source


class Floor:
    """What Python itself costs: a method that looks at one attribute, or passes a call on to a set."""

    __slots__ = ("flag", "items")

    def __init__(self) -> None:
        self.flag = False
        self.items: set[object] = set()

    def empty(self) -> None:
        pass

    def add(self, item: object) -> None:
        self.items.add(item)

    def discard(self, item: object) -> None:
        self.items.discard(item)


def callback() -> None:
    pass


source = CancellationTokenSource()
token = source.token
deep = [source]
while len(deep) < 10_000:
    deep.append(link(deep[-1].token))
floor = Floor()
event = threading.Event()
simple = cantok.SimpleToken()


async def anyio_scope() -> anyio.CancelScope:
    return anyio.CancelScope()


scope = asyncio.run(anyio_scope())

NAMES: dict[str, Any] = {
    "floor": floor,
    "event": event,
    "async_event": asyncio.Event(),
    "token": token,
    "leaf": deep[-1].token,
    "simple": simple,
    "scope": scope,
    "callback": callback,
    "builtin": [].append,
    "Source": CancellationTokenSource,
    "AsyncEvent": asyncio.Event,
    "Event": threading.Event,
    "Simple": cantok.SimpleToken,
    "Scope": anyio.CancelScope,
    "link": link,
}

LOOK = {
    "threading.Event.is_set()": "event.is_set()",
    "an empty method call": "floor.empty()",
    "asyncio.Event.is_set()": "async_event.is_set()",
    "token.throw_if_cancellation_requested()": "token.throw_if_cancellation_requested()",
    "  the same, 10,000 links deep": "leaf.throw_if_cancellation_requested()",
    "token.is_cancellation_requested": "token.is_cancellation_requested",
    "anyio CancelScope.cancel_called": "scope.cancel_called",
    "cantok SimpleToken.check()": "simple.check()",
}
CREATE = {
    "asyncio.Event()": "AsyncEvent()",
    "threading.Event()": "Event()",
    "CancellationTokenSource() and its token": "Source().token",
    "  the same, disposed": "Source().dispose()",
    "  the same, cancelled": "source = Source(); source.token; source.cancel()",
    "  linked to another, and disposed": "link(token).dispose()",
    "anyio CancelScope()": "Scope()",
    "cantok SimpleToken()": "Simple()",
}
REGISTER = {
    "a set.add and a set.discard, each through a method": "floor.add(callback); floor.discard(callback)",
    "token.register(f).unregister()": "token.register(callback).unregister()",
    "  the same, f a builtin": "token.register(builtin).unregister()",
    "token.unsafe_register(f).unregister()": "token.unsafe_register(callback).unregister()",
}


@pytest.mark.parametrize(
    ("group", "param", "statement"),
    [
        pytest.param(group, name, statement, id=name.strip())
        for group, lines in {"look": LOOK, "create": CREATE, "register": REGISTER}.items()
        for name, statement in lines.items()
    ],
)
def test_cost_of_one_call(benchmark: Any, group: str, param: str, statement: str) -> None:
    loops = 1000
    run = timeit.Timer(statement, globals=NAMES).timeit
    benchmark.group, benchmark.param = group, param
    benchmark.extra_info["items"] = loops

    async def measure() -> None:  # anyio makes its scopes only where a loop runs
        benchmark.pedantic(run, args=(loops,), rounds=300, warmup_rounds=5)

    asyncio.run(measure())


def callbacks(number: int) -> None:
    source = CancellationTokenSource()
    register = source.token.register
    for _ in range(number):
        register(callback)
    source.cancel()


def waiters(number: int) -> None:
    source = CancellationTokenSource()
    asyncio.run(wait_and_wake(number, source.token.wait_async, source.cancel))


def waiters_of_an_asyncio_event(number: int) -> None:
    event = asyncio.Event()
    asyncio.run(wait_and_wake(number, event.wait, event.set))


async def wait_and_wake(number: int, wait: Callable[[], Any], wake: Callable[[], object]) -> None:
    tasks = [asyncio.ensure_future(wait()) for _ in range(number)]
    await asyncio.sleep(0)
    wake()
    await asyncio.sleep(0)
    assert all(task.done() for task in tasks)


@pytest.mark.parametrize("number", [1000, 100_000])
@pytest.mark.parametrize("run", [callbacks, waiters, waiters_of_an_asyncio_event])
def test_cost_of_one_among_many(benchmark: Any, run: Callable[[int], None], number: int) -> None:
    if not benchmark.enabled:
        number = 10
    name = run.__name__.replace("_", " ")
    benchmark.group, benchmark.param = f"cancel many {name}: each of them", f"{number:,}"
    benchmark.extra_info["items"] = number
    gc.disable()  # its rounds grow with the number of objects, whosever they are
    try:
        benchmark.pedantic(run, args=(number,), rounds=3 if number > 1000 else 50)
    finally:
        gc.enable()


def wake_by_asyncio_event() -> tuple[Any, Callable[[], object]]:
    event = asyncio.Event()
    return event.wait(), event.set


def wake_by_token() -> tuple[Any, Callable[[], object]]:
    source = CancellationTokenSource()
    return source.token.wait_async(), source.cancel


def wake_by_anyio_event() -> tuple[Any, Callable[[], object]]:
    event = anyio.Event()
    return event.wait(), event.set


@pytest.mark.parametrize("make", [wake_by_asyncio_event, wake_by_token, wake_by_anyio_event])
def test_cost_of_a_wake_up(benchmark: Any, make: Callable[[], tuple[Any, Callable[[], object]]]) -> None:
    loops = 100

    async def wake_all() -> None:
        for _ in range(loops):
            wait, wake = make()
            task = asyncio.ensure_future(wait)
            await asyncio.sleep(0)
            wake()
            await asyncio.sleep(0)
            assert task.done()  # in the same turn for all of them

    benchmark.group, benchmark.param = "create, wait in a task, wake it", make.__name__.removeprefix("wake_by_")
    benchmark.extra_info["items"] = loops
    with asyncio.Runner() as runner:
        benchmark.pedantic(lambda: runner.run(wake_all()), rounds=30, warmup_rounds=3)


BOUNDS = [  # at most so many times the other one
    (LOOK, "token.throw_if_cancellation_requested()", 1.15, "threading.Event.is_set()"),
    (LOOK, "  the same, 10,000 links deep", 1.15, "threading.Event.is_set()"),
    (CREATE, "CancellationTokenSource() and its token", 3.0, "asyncio.Event()"),
    (CREATE, "  the same, cancelled", 12.0, "asyncio.Event()"),
    (CREATE, "  linked to another, and disposed", 14.5, "asyncio.Event()"),
    (REGISTER, "token.register(f).unregister()", 6.0, "a set.add and a set.discard, each through a method"),
    (REGISTER, "token.unsafe_register(f).unregister()", 6.0, "a set.add and a set.discard, each through a method"),
]


@pytest.mark.parametrize(("lines", "ours", "bound", "theirs"), BOUNDS, ids=[b[1].strip() for b in BOUNDS])
def test_bounds(benchmark: Any, lines: dict[str, str], ours: str, bound: float, theirs: str) -> None:
    timers = [timeit.Timer(lines[name], globals=NAMES) for name in (theirs, ours)]

    async def measure() -> None:
        hold(benchmark, [partial(timer.timeit, 2000) for timer in timers], ours.strip(), bound, theirs)

    asyncio.run(measure())


@pytest.mark.parametrize(
    ("timed", "bound", "ours", "theirs"),
    [
        ("the call", 5.0, "source.cancel() with one waiter on this loop", "asyncio.Event.set() with one"),
        ("the round trip", 1.6, "create a source, wait in a task, cancel", "the same with an asyncio.Event"),
    ],
)
def test_bound_of_a_wake_up(benchmark: Any, timed: str, bound: float, ours: str, theirs: str) -> None:
    async def seconds(make: Callable[[], tuple[Any, Callable[[], object]]]) -> float:
        calls, begin = 0.0, time.perf_counter()
        for _ in range(200):
            wait, wake = make()
            task = asyncio.ensure_future(wait)
            await asyncio.sleep(0)
            called = time.perf_counter()
            wake()
            calls += time.perf_counter() - called
            await asyncio.sleep(0)
            assert task.done()
        return calls if timed == "the call" else time.perf_counter() - begin

    with asyncio.Runner() as runner:
        makes = (wake_by_asyncio_event, wake_by_token)
        hold(benchmark, [lambda make=make: runner.run(seconds(make)) for make in makes], ours, bound, theirs)


@pytest.mark.parametrize("run", [callbacks, waiters])
def test_bound_of_many(benchmark: Any, run: Callable[[int], None]) -> None:
    """A hundred thousand cost per item what a thousand do."""

    def seconds(number: int, times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            run(number)
        return time.perf_counter() - begin

    gc.disable()  # its rounds grow with the number of objects, whosever they are
    try:
        rounds = 5 if benchmark.enabled else 1
        many = 100_000 if benchmark.enabled else 1000
        few = partial(seconds, 1000, many // 1000)
        hold(benchmark, [few, partial(seconds, many, 1)], f"100,000 {run.__name__}", 1.5, "1,000 of them", rounds)
    finally:
        gc.enable()


def hold(
    benchmark: Any, runs: list[Callable[[], float]], ours: str, bound: float, theirs: str, rounds: int = 300
) -> None:
    """`runs` in turns, in short rounds, the best of each: a busy machine slows both, or neither."""
    best = [float("inf")] * 2
    for _ in range(rounds if benchmark.enabled else 1):
        for n, run in enumerate(runs):
            best[n] = min(best[n], run())
    ratio = best[1] / best[0]
    assert not benchmark.enabled or ratio <= bound
    benchmark.group, benchmark.param = f"at most {bound} x {theirs}, measured in turns", theirs
    benchmark.extra_info["ratio"] = ratio, ours
    benchmark.pedantic(lambda: None)


@pytest.mark.parametrize("module", ["asyncio", "cancellation", "anyio", "cantok"])
def test_cost_of_an_import(benchmark: Any, module: str) -> None:
    """In a fresh interpreter each time, whose own start is left out."""
    program = f"import time; begin = time.perf_counter(); import {module}; print(time.perf_counter() - begin)"

    def seconds() -> float:
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return float(run.stdout)

    best = min(seconds() for _ in range(10 if benchmark.enabled else 1))
    benchmark.group = "import in a fresh interpreter, in milliseconds"
    benchmark.extra_info["ratio"] = best * 1000, module
    benchmark.pedantic(lambda: None)
