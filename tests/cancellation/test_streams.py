# ruff: noqa: PT012 - the loop itself is what raises
"""until_canceled: a stream that ends when its token is cancelled, and is closed first."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from token_helpers import in_loop, in_thread, turns

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError, until_canceled

FOREVER = 1000


class Words:
    """A stream of numbers that logs what becomes of it; after `stop` of them the next one is long in coming."""

    def __init__(self, stop: int = 3) -> None:
        self.stop = stop
        self.log: list[str] = []
        self.taken = 0

    async def __call__(self) -> AsyncIterator[int]:
        try:
            while self.taken < self.stop:
                self.taken += 1
                yield self.taken
            self.log.append("waits")
            await asyncio.sleep(FOREVER)
        finally:
            await turns()
            self.log.append("closed")


async def collect(stream: Any, token: CancellationToken, items: list[int]) -> None:
    async for item in until_canceled(stream, token):
        items.append(item)


@in_loop
async def test_all_items_come_and_the_stream_is_closed_when_they_are_at_an_end() -> None:
    class Stream:
        closed = 0

        def __init__(self) -> None:
            self.items = iter([1, 2, 3])

        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> int:
            for item in self.items:
                return item
            raise StopAsyncIteration

        async def aclose(self) -> None:
            self.closed += 1

    items: list[int] = []
    stream = Stream()
    await collect(stream, CancellationTokenSource().token, items)
    assert items == [1, 2, 3]
    assert stream.closed == 1
    await collect(Stream(), CancellationToken.none, items)
    assert items == [1, 2, 3] * 2


@in_loop
async def test_a_stream_without_aclose_is_just_left() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    class Stream:
        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> int:
            return await queue.get()

    source = CancellationTokenSource()
    items: list[int] = []
    task = asyncio.create_task(collect(Stream(), source.token, items))
    queue.put_nowait(1)
    await turns()
    source.cancel()
    with pytest.raises(OperationCanceledError):
        await task
    assert items == [1]
    queue.put_nowait(2)
    assert queue.qsize() == 1  # nobody waits for it any more


@in_loop
async def test_a_cancel_while_the_next_item_is_awaited_ends_it_once_the_stream_is_closed() -> None:
    words, source = Words(), CancellationTokenSource()
    items: list[int] = []
    task = asyncio.create_task(collect(words(), source.token, items))
    await turns()
    source.cancel("stop talking")
    with pytest.raises(OperationCanceledError, match="stop talking") as info:
        await task
    assert items == [1, 2, 3]
    assert words.log == ["waits", "closed"]
    assert info.value.token == source.token
    assert task.cancelling() == 0


@in_loop
async def test_a_cancel_between_two_items_ends_it_once_the_stream_is_closed() -> None:
    for call in (lambda cancel: cancel(), in_thread):
        words, source = Words(), CancellationTokenSource()
        items: list[int] = []
        with pytest.raises(OperationCanceledError):
            async for item in until_canceled(words(), source.token):
                items.append(item)
                if item == 2:
                    call(source.cancel)
                    items.append(0)  # the body that runs goes on to its own end
        assert items == [1, 2, 0]
        assert words.log == ["closed"]


@in_loop
async def test_a_cancelled_token_takes_no_item() -> None:
    words = Words()
    with pytest.raises(OperationCanceledError):
        await collect(words(), CancellationToken(True), [])
    assert words.taken == 0


@in_loop
async def test_a_stream_that_never_waits_is_stopped_too() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for number in range(1000):
        queue.put_nowait(number)
    source = CancellationTokenSource()

    async def from_queue() -> AsyncIterator[int]:
        while True:
            yield await queue.get()

    items: list[int] = []
    with pytest.raises(OperationCanceledError):
        async for item in until_canceled(from_queue(), source.token):
            items.append(item)
            if item == 10:
                source.cancel()
    assert items == list(range(11))
    assert queue.qsize() == 989


@in_loop
async def test_an_item_that_comes_in_the_same_turn_as_the_cancel_is_not_lost() -> None:
    for order in ("item first", "cancel first"):
        queue: asyncio.Queue[int] = asyncio.Queue()
        source = CancellationTokenSource()

        async def from_queue(queue: asyncio.Queue[int] = queue) -> AsyncIterator[int]:
            while True:
                yield await queue.get()

        items: list[int] = []
        task = asyncio.create_task(collect(from_queue(), source.token, items))
        await turns()
        steps = [lambda queue=queue: queue.put_nowait(1), source.cancel]
        for step in steps if order == "item first" else reversed(steps):
            step()
        with pytest.raises(OperationCanceledError):
            await task
        assert len(items) + queue.qsize() == 1


@in_loop
async def test_a_break_under_aclosing_closes_the_stream_at_once() -> None:
    words = Words()
    async with contextlib.aclosing(until_canceled(words(), CancellationTokenSource().token)) as stream:
        async for item in stream:
            if item == 2:
                break
        assert words.log == []
    assert words.log == ["closed"]
    assert words.taken == 2


@in_loop
async def test_an_error_in_the_loop_under_aclosing_closes_the_stream_and_comes_out() -> None:
    words = Words()
    with pytest.raises(KeyError):
        async with contextlib.aclosing(until_canceled(words(), CancellationTokenSource().token)) as stream:
            async for _ in stream:
                raise KeyError
    assert words.log == ["closed"]


@in_loop
async def test_an_error_of_the_stream_comes_out_as_it_is_also_on_a_cancelled_token() -> None:
    source = CancellationTokenSource()

    async def fail(cancel: bool) -> AsyncIterator[int]:
        yield 1
        if cancel:
            source.cancel()
        raise KeyError("k")

    for cancel in (False, True):
        with pytest.raises(KeyError):
            await collect(fail(cancel), source.token, [])


@in_loop
async def test_what_a_stream_makes_of_the_cancel_is_its_last_item() -> None:
    source = CancellationTokenSource()

    async def stubborn() -> AsyncIterator[int]:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            yield 1
        yield 2

    items: list[int] = []
    task = asyncio.create_task(collect(stubborn(), source.token, items))
    await turns()
    source.cancel()
    with pytest.raises(OperationCanceledError):
        await task
    assert items == [1]


@in_loop
async def test_a_cancel_of_the_task_stays_one_and_closes_the_stream() -> None:
    for waiting in (True, False):
        words, source = Words(), CancellationTokenSource()

        async def talk(words: Words = words, token: CancellationToken = source.token, waiting: bool = waiting) -> None:
            async with contextlib.aclosing(until_canceled(words(), token)) as stream:
                async for _ in stream:
                    if not waiting:
                        await asyncio.sleep(FOREVER)

        task = asyncio.create_task(talk())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert words.log == (["waits", "closed"] if waiting else ["closed"])
        assert not source.token._waiters


@in_loop
async def test_a_timeout_around_it_is_a_timeout() -> None:
    words = Words()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await collect(words(), CancellationTokenSource().token, [])
    assert words.log == ["waits", "closed"]


@in_loop
async def test_the_loops_body_is_not_stopped_by_the_token() -> None:
    source = CancellationTokenSource()
    log: list[str] = []
    with pytest.raises(OperationCanceledError):
        async for _ in until_canceled(Words()(), source.token):
            source.cancel()
            await turns()  # no scope is open here
            log.append("the body went on")
    assert log == ["the body went on"]


@in_loop
async def test_streams_nest_each_with_its_own_token() -> None:
    outer, inner = CancellationTokenSource(), CancellationTokenSource()
    words = Words()
    task = asyncio.create_task(collect(until_canceled(words(), inner.token), outer.token, []))
    await turns(10)
    inner.cancel("inner")
    with pytest.raises(OperationCanceledError, match="inner"):
        await task
    words = Words()
    task = asyncio.create_task(collect(until_canceled(words(), CancellationTokenSource().token), outer.token, []))
    await turns(10)
    outer.cancel("outer")
    with pytest.raises(OperationCanceledError, match="outer"):
        await task
    assert words.log == ["waits", "closed"]


def test_what_is_no_stream_or_no_token_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"stream must be an async iterable, not \[1\]"):
        until_canceled([1], CancellationToken.none)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="token must be a CancellationToken, not None"):
        until_canceled(Words()(), None)  # type: ignore[arg-type]


def test_an_error_is_freed_with_its_last_reference() -> None:
    class Mark:
        pass

    marks: list[weakref.ref[Mark]] = []

    async def talk(source: CancellationTokenSource, fail: bool) -> AsyncIterator[int]:
        mark = Mark()
        marks.append(weakref.ref(mark))
        yield 1
        if fail:
            raise KeyError
        asyncio.get_running_loop().call_soon(source.cancel)
        await asyncio.sleep(FOREVER)

    async def main(fail: bool) -> None:
        source = CancellationTokenSource()
        with contextlib.suppress(KeyError, OperationCanceledError):
            await collect(talk(source, fail), source.token, [])

    gc.collect()
    gc.disable()
    try:
        for fail in (True, False):
            asyncio.run(main(fail))
            assert marks[-1]() is None
    finally:
        gc.enable()
