"""Random compositions of all that can stop a task, and random work of eight threads on one tree. Seeded."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from token_helpers import PATIENCE, Worker

from cancellation import (
    CancellationToken,
    CancellationTokenSource,
    FakeTimeProvider,
    ObjectDisposedError,
    OperationCanceledError,
    cancel_scope,
    delay,
    run_to_end,
    run_until_canceled,
    tree,
)
from cancellation.tree import Link

link = CancellationTokenSource.create_linked_token_source


class LoopOnAFakeClock(asyncio.SelectorEventLoop):
    """`asyncio.timeout` goes by its time, which stands still until the test moves it."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Expired(Exception):
    """An `asyncio.timeout` was over."""


class Composition:
    """Tasks that wait for tokens, times and queue items through scopes, timeouts and task groups, nested at random."""

    def __init__(self, loop: LoopOnAFakeClock, seed: int) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.clock = FakeTimeProvider()
        self.sources = [CancellationTokenSource(time_provider=self.clock)]
        for _ in range(self.random.randrange(1, 7)):
            parents = [source.token for source in self.random.choices(self.sources, k=self.random.randrange(3))]
            self.sources.append(
                link(*parents, time_provider=self.clock)
                if parents
                else CancellationTokenSource(time_provider=self.clock)
            )
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.put = 0
        self.got: list[int] = []
        self.groups: set[asyncio.Task[Any]] = set()  # tasks in which a task group was
        self.really_canceled: dict[asyncio.Task[Any], int] = {}

    async def play(self) -> None:
        tasks = [asyncio.create_task(self.part(4)) for _ in range(self.random.randrange(1, 4))]
        self.really_canceled = dict.fromkeys(tasks, 0)
        for _ in range(self.random.randrange(5, 40)):
            for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
                await asyncio.sleep(0)
            self.something_happens(tasks)
        await self.end(tasks)

    def something_happens(self, tasks: list[asyncio.Task[None]]) -> None:
        what = self.random.randrange(20)
        if what < 8:
            self.put += 1
            self.queue.put_nowait(self.put)
        elif what < 11:
            self.loop.now += 1
        elif what < 14:
            self.clock.advance(1)
        elif what < 16:
            self.random.choice(self.sources).cancel("at random")
        elif what < 18:
            self.random.choice(self.sources).cancel_after(self.random.choice([None, 1, 2]))
        elif what == 18:
            self.random.choice(self.sources).try_reset()
        else:
            task = self.random.choice(tasks)
            self.really_canceled[task] += task.cancel()

    async def end(self, tasks: list[asyncio.Task[None]]) -> None:
        for _ in range(30):
            self.loop.now += 10
            self.clock.advance(10)
            for _ in range(20):
                await asyncio.sleep(0)
            for source in self.sources:
                source.cancel("the end")
        assert all(task.done() for task in tasks), "a task never ends"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for task in tasks:
            self.check_outcome(task)
        assert sorted(self.got + [self.queue.get_nowait() for _ in range(self.queue.qsize())]) == list(
            range(1, self.put + 1)
        ), "an item was lost, or came twice"
        for source in self.sources:
            assert not source.token._waiters, "a wait has left its waiter"
            assert not source.token._callbacks
            assert not source.token._links
        assert [timer for timer in self.loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]
        assert [timer for _, _, timer in self.clock._timers._heap if timer.callback is not None] == []

    def check_outcome(self, task: asyncio.Task[None]) -> None:
        canceled = self.really_canceled[task]
        if task.cancelled():
            assert canceled, "a task is cancelled that nobody cancelled"
        elif task not in self.groups:  # there an error of a child beats the cancel, which is Python's own choice
            assert not canceled, f"a real cancel was lost: {task!r}"
        if not task.cancelled() and (error := task.exception()) is not None:
            self.check_error(error)

    def check_error(self, error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                self.check_error(one)
        else:
            assert isinstance(error, OperationCanceledError | Expired), repr(error)
            assert isinstance(error, Expired) or error.token.is_cancellation_requested

    def check_canceled(self, task: asyncio.Task[None]) -> None:
        assert task.cancelling() > 0, "a CancelledError without a cancel"

    async def part(self, depth: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling() - self.really_canceled.get(task, 0)
        try:
            await self.random.choice(self.PARTS if depth else self.WAITS)(self, depth - 1)
        except OperationCanceledError as error:
            self.check_error(error)
        except asyncio.CancelledError:
            self.check_canceled(task)
            raise
        except Expired:
            pass
        except BaseExceptionGroup as errors:
            self.check_error(errors)
        # TaskGroup keeps the count only since 3.13: https://docs.python.org/3/library/asyncio-task.html#task-groups
        if depth == 4 and task not in self.groups:
            assert task.cancelling() - self.really_canceled.get(task, 0) == before

    def token(self) -> CancellationToken:
        return self.random.choice(self.sources).token

    async def turn(self, depth: int) -> None:
        await asyncio.sleep(0)

    async def sleep(self, depth: int) -> None:
        await asyncio.sleep(self.random.randrange(4))

    async def delay(self, depth: int) -> None:
        await delay(self.random.randrange(4), self.token(), time_provider=self.clock)

    async def take(self, depth: int) -> None:
        self.got.append(await run_until_canceled(self.queue.get(), self.token()))

    async def wait(self, depth: int) -> None:
        token = self.token()
        assert await token.wait_async(self.random.choice([None, 1, 2])) is token.is_cancellation_requested

    async def two(self, depth: int) -> None:
        await self.part(depth)
        await self.part(depth)

    async def scope(self, depth: int) -> None:
        async with cancel_scope(self.token()):
            await self.part(depth)
            await self.take(depth)

    async def until_canceled(self, depth: int) -> None:
        await run_until_canceled(self.part(depth), self.token())

    async def to_end(self, depth: int) -> None:
        await run_to_end(self.part(depth))

    async def timeout(self, depth: int) -> None:
        try:
            async with asyncio.timeout(self.random.randrange(3)) as timeout:
                await self.part(depth)
                await self.take(depth)
        except TimeoutError:
            assert timeout.expired()
            raise Expired from None

    async def cleanup(self, depth: int) -> None:
        try:
            await self.part(depth)
        finally:
            await asyncio.sleep(0)

    async def group(self, depth: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.groups.add(task)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.part(depth))
            group.create_task(self.fail_or_take(depth))
            await self.part(depth)

    async def fail_or_take(self, depth: int) -> None:
        await self.take(depth)
        if self.random.randrange(2):
            raise Expired

    WAITS = (turn, sleep, delay, take, take, wait)
    PARTS = (*WAITS, two, two, scope, scope, until_canceled, until_canceled, timeout, timeout, to_end, cleanup, group)


@pytest.mark.parametrize("seeds", [range(n, n + 200) for n in range(0, 800, 200)], ids=str)
def test_every_composition_ends_as_it_may(seeds: range) -> None:
    for seed in seeds:
        loop = LoopOnAFakeClock()
        try:
            loop.run_until_complete(Composition(loop, seed).play())
        except BaseException as error:
            error.add_note(f"(seed {seed})")
            raise
        finally:
            loop.close()


@pytest.fixture
def eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
def test_eight_threads_at_work_on_one_tree_leave_it_in_order() -> None:
    root = CancellationTokenSource()
    sources = [root, *(link(root.token) for _ in range(3))]
    sources += [link(*(source.token for source in sources[1:3])) for _ in range(3)]
    stop_at = time.monotonic() + 1
    ran: list[int] = []
    keys = iter(range(sys.maxsize))

    def work(seed: int) -> int:
        mine = random.Random(seed)
        done = 0
        while time.monotonic() < stop_at or done < 100:
            source = mine.choice(sources)
            token = source._token
            what = mine.randrange(9)
            try:
                if what < 2:
                    registration = token.register(ran.append, next(keys))
                    if mine.randrange(4):
                        registration.unregister()
                elif what == 2:
                    token.wait(0)
                elif what == 3:
                    with link(token) as child:
                        child.token.register(ran.append, next(keys))
                elif what == 4:
                    link(token).token.register(ran.append, next(keys)).dispose()
                elif what == 5:
                    source.cancel_after(mine.choice([None, 1000, 0]) if source is not root else None)
                elif what == 6 and source is not root:
                    source.try_reset()
                elif what == 7 and source is not root and not mine.randrange(10):
                    source.cancel()
                    source.dispose()
                    sources[sources.index(source)] = link(root.token)
            except (ObjectDisposedError, ValueError):  # another thread was quicker
                pass
            done += 1
        return done

    workers = [Worker(lambda seed=seed: work(seed)) for seed in range(8)]
    assert min(worker.result(5 * PATIENCE) for worker in workers) >= 100
    for source in sources:
        source.cancel_after(None)
    last = CancellationTokenSource()
    last.cancel_after(0)
    assert last.token.wait(PATIENCE)  # the clock's thread has done all that it had begun
    assert tree.lock.acquire(blocking=False)
    tree.lock.release()
    assert len(set(ran)) == len(ran)
    for source in sources:
        token = source._token
        if not (token._plain or token._canceled or token._disposed):
            assert token._idle == sum(isinstance(e, Link) and held is None for e, held in token._callbacks.items())
            for entry in token._links or ():
                if (parent := entry.parent()) is not None:
                    assert parent._callbacks[entry] is (token if token._is_listened_on() else None)
    root.cancel()
    assert all(source.is_cancellation_requested or source._token._disposed for source in sources)
    assert not tree.ends
