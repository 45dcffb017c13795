# ruff: noqa: PT012 - what leaves an async with block can only be caught around that block
"""Waiting in asyncio: wait_async, delay, run_until_canceled, cancel_scope, and how they compose with asyncio's own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
import time
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from datetime import timedelta
from typing import Any

import anyio
import pytest
from token_helpers import PATIENCE, Worker, current, in_loop, in_thread, turns

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
    to_thread,
    until_canceled,
)

none = CancellationToken.none
link = CancellationTokenSource.create_linked_token_source
FOREVER = 1000


# wait_async


@in_loop
async def test_wait_async_returns_at_once_on_a_cancelled_token() -> None:
    coroutine = CancellationToken(True).wait_async()
    with pytest.raises(StopIteration):
        coroutine.send(None)


@in_loop
async def test_a_cancel_wakes_a_task_in_the_same_turn_as_an_event() -> None:
    source, event = CancellationTokenSource(), asyncio.Event()
    woken: list[tuple[str, int]] = []
    turn = 0

    async def wait(name: str, awaitable: Coroutine[Any, Any, object]) -> None:
        with contextlib.suppress(OperationCanceledError):
            await awaitable
        woken.append((name, turn))

    tasks = [
        asyncio.create_task(wait("event", event.wait())),
        asyncio.create_task(wait("wait_async", source.token.wait_async())),
        asyncio.create_task(wait("delay", delay(FOREVER, source.token))),
        asyncio.create_task(wait("delay(None)", delay(None, source.token))),
    ]
    await turns()
    source.cancel()
    event.set()
    for turn in range(1, 4):  # noqa: B007 (the tasks look at it)
        await asyncio.sleep(0)
    assert {t for _, t in woken} == {1}
    await asyncio.gather(*tasks)


@in_loop
async def test_a_cancel_from_another_thread_wakes_an_idle_loop() -> None:
    for _ in range(20):
        source = CancellationTokenSource()
        waits = [
            asyncio.create_task(source.token.wait_async()),
            asyncio.create_task(run_until_canceled(asyncio.sleep(FOREVER), source.token)),
            asyncio.create_task(delay(FOREVER, source.token)),
        ]
        await turns()
        in_thread(source.cancel)
        await asyncio.wait(waits)
        for task in waits[1:]:
            assert type(task.exception()) is OperationCanceledError


def test_a_cancel_from_another_thread_touches_the_tasks_of_a_loop_on_that_loop_alone() -> None:
    async def main() -> None:
        for wait in (
            lambda token: token.wait_async(),
            lambda token: delay(FOREVER, token),
            lambda token: run_until_canceled(asyncio.sleep(FOREVER), token),
            lambda token: run_scope(token, asyncio.sleep(FOREVER)),
        ):
            source = CancellationTokenSource()
            task = asyncio.create_task(wait(source.token))
            await turns()
            await asyncio.to_thread(source.cancel)
            await asyncio.wait([task], timeout=PATIENCE)
            assert task.done()
            task.exception()

    asyncio.run(main(), debug=True)  # in debug mode a loop refuses calls from other threads


@in_loop
async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    source = CancellationTokenSource()
    token = link(source.token).token
    for wait in (token.wait_async(), delay(FOREVER, token), run_until_canceled(asyncio.sleep(FOREVER), token)):
        task = asyncio.create_task(wait)
        await turns()
        assert token._waiters
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not token._waiters
    assert not token._is_listened_on()


@in_loop
async def test_a_disposed_source_ends_its_waits_with_an_error() -> None:
    for wait in (lambda token: token.wait_async(), lambda token: delay(None, token)):
        source = CancellationTokenSource()
        token = source.token
        task = asyncio.create_task(wait(token))
        await turns()
        source.dispose()
        with pytest.raises(ObjectDisposedError, match="will never be canceled"):
            await task
        with pytest.raises(ObjectDisposedError, match="will never be canceled"):
            await wait(token)


@in_loop
async def test_dispose_does_not_disturb_waits_that_end_by_themselves() -> None:
    clock = FakeTimeProvider()
    source = CancellationTokenSource()
    token = source.token
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def in_scope() -> int:
        async with cancel_scope(token):
            return await future

    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(delay(5, token, time_provider=clock)),
        asyncio.create_task(run_until_canceled(asyncio.shield(future), token)),
        asyncio.create_task(in_scope()),
    ]
    await turns()
    source.dispose()
    await turns()
    assert not any(task.done() for task in tasks)
    clock.advance(5)
    future.set_result(7)
    assert await asyncio.gather(*tasks) == [None, 7, 7]


def test_one_token_serves_waiters_on_several_loops_and_threads_at_once() -> None:
    source = CancellationTokenSource()

    def run_loop() -> None:
        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(source.token.wait_async())

        asyncio.run(main())

    workers = [Worker(run_loop) for _ in range(3)] + [Worker(source.token.wait) for _ in range(3)]
    deadline = time.monotonic() + PATIENCE
    while len(source.token._waiters) < 18:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    source.cancel()
    for worker in workers:
        worker.result()


def test_a_closed_loop_with_a_waiter_left_does_not_hurt_the_canceler() -> None:
    source = CancellationTokenSource()
    log: list[str] = []
    source.token.register(log.append, "callback")
    loop = asyncio.new_event_loop()
    waiter = source.token.wait_async()

    async def step() -> None:
        waiter.send(None)  # waits now; nobody will go on with it

    loop.run_until_complete(step())
    loop.close()
    source.cancel()
    assert log == ["callback"]
    waiter.close()


def test_an_error_of_a_loop_that_is_open_is_not_hidden() -> None:
    source = CancellationTokenSource()
    loop = asyncio.new_event_loop()
    waiter = source.token.wait_async()

    async def step() -> None:
        waiter.send(None)

    loop.run_until_complete(step())

    def broken(*_: object) -> None:
        raise RuntimeError("broken loop")

    loop.call_soon_threadsafe = broken  # type: ignore[assignment, method-assign]
    with pytest.raises(RuntimeError, match="broken loop"):
        source.cancel()
    waiter.close()
    loop.close()


@in_loop
async def test_wait_async_with_a_timeout_says_whether_the_cancel_came_like_wait() -> None:
    source = CancellationTokenSource()
    for timeout in (0, 0.001, timedelta(milliseconds=1)):
        assert await source.token.wait_async(timeout) is False
    assert not source.token._waiters
    assert await none.wait_async(0.001) is False
    asyncio.get_running_loop().call_soon(source.cancel)
    assert await source.token.wait_async(FOREVER) is True
    assert await source.token.wait_async(0) is True
    assert await source.token.wait_async() is True
    # neither the time's end nor its timer is left over
    assert not [timer for timer in vars(asyncio.get_running_loop())["_scheduled"] if not timer.cancelled()][1:]


@in_loop
async def test_a_cancel_in_the_turn_in_which_the_time_of_wait_async_ends_counts() -> None:
    source = CancellationTokenSource()
    task = asyncio.create_task(source.token.wait_async(0))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0, source.cancel)  # due with the timeout, and right after it
    assert await task is True


@in_loop
async def test_wait_async_with_a_timeout_ends_with_an_error_when_the_source_is_disposed_and_with_the_tasks_cancel() -> (
    None
):
    source = CancellationTokenSource()
    token = source.token
    tasks = [asyncio.create_task(token.wait_async(FOREVER)) for _ in range(2)]
    await turns()
    tasks[0].cancel()
    await turns()
    assert tasks[0].cancelled()
    source.dispose()
    with pytest.raises(ObjectDisposedError):
        await tasks[1]


@pytest.mark.parametrize(("bad", "error"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)])
def test_wait_async_refuses_what_is_no_time_also_on_a_cancelled_token(bad: Any, error: type[Exception]) -> None:
    for token in (CancellationTokenSource().token, CancellationToken(True)):
        with pytest.raises(error, match="timeout must be"):
            token.wait_async(bad).send(None)


# delay


@in_loop
async def test_delay_sleeps_the_real_time() -> None:
    start = time.monotonic()
    await delay(0.02)
    await delay(timedelta(milliseconds=10), CancellationTokenSource().token)
    assert time.monotonic() - start >= 0.029


@in_loop
async def test_delay_on_a_cancelled_token_raises_before_anything_else_runs() -> None:
    for seconds in (0, 5, None):
        coroutine = delay(seconds, CancellationToken(True))
        with pytest.raises(OperationCanceledError):
            coroutine.send(None)


@in_loop
async def test_delay_of_nothing_lets_other_tasks_run_once() -> None:
    log: list[str] = []
    task = asyncio.create_task(asyncio.sleep(0))
    asyncio.get_running_loop().call_soon(log.append, "other")
    await delay(0)
    assert log == ["other"]
    await delay(timedelta(0), time_provider=FakeTimeProvider())
    await task


@in_loop
async def test_delay_carries_token_reason_and_cause() -> None:
    source = CancellationTokenSource()
    reason = TimeoutError("closing time")
    asyncio.get_running_loop().call_soon(source.cancel, reason)
    with pytest.raises(OperationCanceledError) as info:
        await delay(FOREVER, source.token)
    assert (info.value.token, info.value.reason, info.value.__cause__) == (source.token, reason, reason)


@in_loop
async def test_a_delay_that_has_elapsed_beats_a_later_cancel_in_the_same_turn() -> None:
    clock, source = FakeTimeProvider(), CancellationTokenSource()
    task = asyncio.create_task(delay(1, source.token, time_provider=clock))
    await turns()
    clock.advance(1)
    source.cancel()
    await task


@in_loop
async def test_delay_on_a_fake_clock_waits_for_advance_alone() -> None:
    clock = FakeTimeProvider()
    task = asyncio.create_task(delay(10, time_provider=clock))
    await turns()
    clock.advance(9.5)
    await turns()
    assert not task.done()
    await asyncio.to_thread(clock.advance, 0.5)
    await task
    source = CancellationTokenSource()
    task = asyncio.create_task(delay(10, source.token, time_provider=clock))
    await turns()
    source.cancel()
    with pytest.raises(OperationCanceledError):
        await task
    clock.advance(20)


@in_loop
async def test_a_token_must_be_one() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for bad in (None, CancellationTokenSource()):
        with pytest.raises(TypeError, match="token must be a CancellationToken, not"):
            await delay(1, bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="token must be a CancellationToken, not"):
            await run_until_canceled(future, bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="token must be a CancellationToken, not"):
            await run_until_canceled(answer(), bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="token must be a CancellationToken, not"):
            cancel_scope(bad)  # type: ignore[arg-type]


# run_until_canceled


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


class Awaitable:
    def __await__(self) -> Generator[Any, None, int]:
        yield from asyncio.sleep(0).__await__()
        return 42


@in_loop
async def test_run_until_canceled_takes_coroutines_tasks_futures_and_other_awaitables() -> None:
    source = CancellationTokenSource()
    future = asyncio.get_running_loop().create_future()
    future.set_result(42)
    for token in (source.token, none):
        for awaitable in (answer(), asyncio.create_task(answer()), future, asyncio.shield(answer()), Awaitable()):
            assert await run_until_canceled(awaitable, token) == 42
        assert not token._waiters


@in_loop
async def test_an_error_of_the_awaitable_comes_out_as_it_is() -> None:
    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        await run_until_canceled(fail(), CancellationTokenSource().token)


@in_loop
async def test_a_cancelled_token_never_starts_the_awaitable_and_warns_of_nothing() -> None:
    started: list[str] = []

    async def start() -> None:
        started.append("started")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pending = asyncio.create_task(start())
        for awaitable in (start(), pending, Awaitable(), asyncio.get_running_loop().create_future()):
            with pytest.raises(OperationCanceledError):
                await run_until_canceled(awaitable, CancellationToken(True))
        await turns()
    assert started == []
    assert pending.cancelled()


@in_loop
async def test_a_token_cancelled_before_the_first_step_never_starts_the_awaitable() -> None:
    source = CancellationTokenSource()
    started: list[str] = []

    async def start() -> None:
        started.append("started")

    asyncio.get_running_loop().call_soon(source.cancel)
    task = asyncio.create_task(run_until_canceled(start(), source.token))
    await asyncio.sleep(0)
    with pytest.raises(OperationCanceledError):
        await task
    assert started == []


@in_loop
async def test_a_finished_awaitable_beats_a_cancelled_token() -> None:
    done = asyncio.create_task(answer())
    await done
    assert await run_until_canceled(done, CancellationToken(True)) == 42

    source = CancellationTokenSource()

    async def finish_and_cancel() -> int:
        source.cancel()
        return 42

    assert await run_until_canceled(finish_and_cancel(), source.token) == 42

    async def fail_and_cancel() -> None:
        again.cancel()
        raise KeyError

    again = CancellationTokenSource()
    with pytest.raises(KeyError):
        await run_until_canceled(fail_and_cancel(), again.token)


@in_loop
async def test_the_cleanup_of_the_awaitable_has_ended_before_the_error_comes() -> None:
    source = CancellationTokenSource()
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await asyncio.sleep(0.005)
            log.append("cleaned up")

    task = asyncio.create_task(run_until_canceled(work(), source.token))
    await turns()
    source.cancel("enough")
    with pytest.raises(OperationCanceledError, match="enough") as info:
        await task
    assert log == ["cleaned up"]
    assert info.value.token == source.token
    assert task.cancelling() == 0


@in_loop
async def test_what_the_awaitable_makes_of_the_cancel_comes_out() -> None:
    async def work(result: int | None) -> int:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            if result is None:
                raise KeyError("cleanup failed") from None
        assert result is not None
        return result

    for result in (7, None):
        source = CancellationTokenSource()
        task = asyncio.create_task(run_until_canceled(work(result), source.token))
        await turns()
        source.cancel()
        if result is None:
            with pytest.raises(KeyError):
                await task
        else:
            assert await task == 7


@in_loop
async def test_a_real_cancel_of_the_task_reaches_the_awaitable_and_stays_a_real_cancel() -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    source = CancellationTokenSource()
    task = asyncio.create_task(run_until_canceled(work(), source.token))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cancelled"]


@pytest.mark.parametrize("token_first", [True, False])
def test_a_real_cancel_beats_the_token_whichever_comes_first(token_first: bool) -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        task = asyncio.create_task(run_until_canceled(asyncio.sleep(FOREVER), source.token))
        await turns()
        for cancel in (source.cancel, task.cancel) if token_first else (task.cancel, source.cancel):
            cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@in_loop
async def test_an_awaitable_that_was_cancelled_by_others_stays_cancelled() -> None:
    inner = asyncio.create_task(asyncio.sleep(FOREVER))
    asyncio.get_running_loop().call_soon(inner.cancel)
    with pytest.raises(asyncio.CancelledError):
        await run_until_canceled(inner, CancellationTokenSource().token)
    assert current().cancelling() == 0


@in_loop
async def test_run_until_canceled_inside_a_task_that_was_cancelled_before_still_tells_them_apart() -> None:
    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(FOREVER)
        source = CancellationTokenSource()
        asyncio.get_running_loop().call_soon(source.cancel)
        try:
            await run_until_canceled(asyncio.sleep(FOREVER), source.token)
        except OperationCanceledError:
            return "token"
        return "nothing"

    task = asyncio.create_task(stubborn())
    await turns()
    task.cancel()
    assert await task == "token"


def test_where_even_a_task_is_not_the_current_one_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "current_task", lambda *_: None)  # nest_asyncio on Python 3.14
            with pytest.raises(RuntimeError, match=r"only inside a task, and .* nest-asyncio2 takes its place"):
                await run_until_canceled(answer(), CancellationTokenSource().token)

    asyncio.run(main())


# In the task that calls


@pytest.mark.parametrize("how", ["timeout", "cancel", "token"])
@pytest.mark.parametrize("put_first", [True, False])
@pytest.mark.parametrize("apart", range(5))
def test_no_item_of_a_queue_is_lost_to_a_timeout_or_a_cancel_at_the_same_moment(
    how: str, put_first: bool, apart: int
) -> None:
    async def main() -> None:
        queue: asyncio.Queue[str] = asyncio.Queue()
        source = CancellationTokenSource()
        got: list[str] = []
        timeouts: list[asyncio.Timeout] = []

        async def take() -> None:
            async with asyncio.timeout(None) as timeout:
                timeouts.append(timeout)
                got.append(await run_until_canceled(queue.get(), source.token))

        task = asyncio.create_task(take())
        await turns()

        def put() -> None:
            queue.put_nowait("item")

        def expire() -> None:
            if not task.done():
                timeouts[0].reschedule(0)

        stop = {"timeout": expire, "cancel": task.cancel, "token": source.cancel}[how]
        for step in (put, stop) if put_first else (stop, put):
            step()
            await turns(apart)
        await asyncio.wait([task])
        assert len(got) + queue.qsize() == 1
        if task.cancelled() or task.exception() is not None:
            assert got == []  # and the item is still in the queue

    asyncio.run(main())


@pytest.mark.parametrize("turns_later", range(4))
def test_a_result_that_comes_in_the_same_turn_as_the_tokens_cancel_is_not_lost(turns_later: int) -> None:
    async def in_scope(future: asyncio.Future[int], token: CancellationToken) -> int:
        async with cancel_scope(token):
            return await future

    async def deep(future: asyncio.Future[int]) -> int:
        result = await asyncio.gather(asyncio.ensure_future(asyncio.shield(future)))
        return result[0]

    async def main() -> None:
        for run in (
            in_scope,
            run_until_canceled,
            lambda future, token: run_until_canceled(deep(future), token),
            lambda future, token: in_scope(asyncio.ensure_future(deep(future)), token),
        ):
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            source = CancellationTokenSource()
            task: asyncio.Task[int] = asyncio.ensure_future(run(future, source.token))
            await turns()
            future.set_result(7)
            await turns(turns_later)
            source.cancel()
            assert await task == 7
            assert task.cancelling() == 0

    asyncio.run(main())


@in_loop
async def test_a_block_that_had_a_result_in_the_turn_of_the_cancel_is_stopped_at_its_next_await() -> None:
    source = CancellationTokenSource()
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    got: list[int] = []

    async def block() -> None:
        async with cancel_scope(source.token):
            got.append(await future)
            await asyncio.sleep(FOREVER)

    task = asyncio.create_task(block())
    await turns()
    future.set_result(7)
    source.cancel()
    with pytest.raises(OperationCanceledError):
        await task
    assert got == [7]


@in_loop
async def test_context_variables_that_the_awaitable_sets_stay_set() -> None:
    order = contextvars.ContextVar("order", default=0)

    async def begin() -> None:
        await asyncio.sleep(0)
        order.set(7)

    await run_until_canceled(begin(), CancellationTokenSource().token)
    assert order.get() == 7


@in_loop
async def test_a_context_entered_through_it_can_be_left_outside() -> None:
    source = CancellationTokenSource()
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def kitchen() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            with anyio.CancelScope():
                yield
        log.append("closed")

    async with contextlib.AsyncExitStack() as stack:
        await run_until_canceled(stack.enter_async_context(kitchen()), source.token)
        await run_until_canceled(stack.enter_async_context(asyncio.timeout(FOREVER)), source.token)
        await run_until_canceled(stack.enter_async_context(asyncio.TaskGroup()), source.token)
        log.append("open")
    assert log == ["open", "closed"]


@in_loop
async def test_it_runs_in_the_task_that_calls() -> None:
    async def which() -> asyncio.Task[Any]:
        await asyncio.sleep(0)
        return current()

    assert await run_until_canceled(which(), CancellationTokenSource().token) is current()


def test_run_until_canceled_needs_no_current_task() -> None:
    loop = asyncio.new_event_loop()
    source = CancellationTokenSource()
    outcome: list[BaseException] = []

    def step(coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            coroutine.send(None).add_done_callback(lambda _: step(coroutine))
        except BaseException as error:
            outcome.append(error)
            loop.stop()

    async def main() -> None:
        await run_until_canceled(asyncio.sleep(FOREVER), source.token)

    loop.call_soon(step, main())
    loop.call_later(0.005, source.cancel)
    loop.run_forever()
    loop.close()
    assert type(outcome[0]) is OperationCanceledError


# cancel_scope


@in_loop
async def test_a_scope_stops_its_block_at_the_next_await() -> None:
    source = CancellationTokenSource()
    asyncio.get_running_loop().call_soon(source.cancel, "enough")
    log: list[str] = []
    with pytest.raises(OperationCanceledError, match="enough") as info:
        async with cancel_scope(source.token):
            try:
                await asyncio.sleep(FOREVER)
            finally:
                await asyncio.sleep(0)
                log.append("cleaned up")
    assert info.value.token == source.token
    assert log == ["cleaned up"]
    assert current().cancelling() == 0
    assert not source.token._waiters
    await turns()


@in_loop
async def test_on_a_cancelled_token_no_scope_begins_not_even_one_whose_awaits_never_wait() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for item in range(100):
        queue.put_nowait(item)
    scope = cancel_scope(CancellationToken(True))
    with pytest.raises(OperationCanceledError):
        async with scope:
            while True:
                await queue.get()
    assert queue.qsize() == 100
    assert repr(scope) == "<cancel_scope not entered, <CancellationToken canceled>>"
    assert current().cancelling() == 0


@in_loop
async def test_a_block_that_awaits_no_more_ends_well_and_leaves_no_cancel_behind() -> None:
    source = CancellationTokenSource()
    async with cancel_scope(source.token):
        source.cancel()  # from inside the block itself
    await turns()
    assert current().cancelling() == 0


@in_loop
async def test_a_cancel_from_inside_the_block_stops_it_at_its_next_await() -> None:
    source = CancellationTokenSource()
    with pytest.raises(OperationCanceledError):
        async with cancel_scope(source.token):
            source.cancel()
            await asyncio.sleep(FOREVER)
    await turns()


@in_loop
async def test_a_cancel_from_a_child_that_runs_eagerly_inside_the_block_leaves_nothing_behind() -> None:
    if not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    source = CancellationTokenSource()

    async def child() -> None:
        source.cancel()

    async with cancel_scope(source.token):
        task = asyncio.create_task(child())
    loop.set_task_factory(None)
    await turns()
    await task
    assert current().cancelling() == 0


@in_loop
async def test_a_block_may_swallow_the_cancel_and_end_with_a_result_of_its_own() -> None:
    source = CancellationTokenSource()
    asyncio.get_running_loop().call_soon(source.cancel)
    async with cancel_scope(source.token):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(FOREVER)
    await turns()
    assert current().cancelling() == 0


@in_loop
async def test_an_error_of_the_block_comes_out_as_it_is_and_counts_are_put_right() -> None:
    source = CancellationTokenSource()
    asyncio.get_running_loop().call_soon(source.cancel)
    with pytest.raises(KeyError):
        async with cancel_scope(source.token):
            try:
                await asyncio.sleep(FOREVER)
            finally:
                raise KeyError
    await turns()
    assert current().cancelling() == 0


@in_loop
async def test_a_scope_that_was_left_does_not_hear_the_cancel() -> None:
    source = CancellationTokenSource()
    async with cancel_scope(source.token):
        await asyncio.sleep(0)
    source.cancel()
    await turns()


@in_loop
async def test_a_cancel_from_another_thread_that_arrives_after_the_block_is_harmless() -> None:
    source = CancellationTokenSource()
    async with cancel_scope(source.token):
        in_thread(source.cancel)  # its wake-up is queued on this loop
    await turns()
    assert current().cancelling() == 0


@pytest.mark.parametrize("order", ["token first", "task first"])
def test_a_real_cancel_beats_the_scope(order: str) -> None:
    async def main() -> None:
        source = CancellationTokenSource()

        async def work() -> None:
            async with cancel_scope(source.token):
                await asyncio.sleep(FOREVER)

        task = asyncio.create_task(work())
        await turns()
        for cancel in (source.cancel, task.cancel) if order == "token first" else (task.cancel, source.cancel):
            cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("winner", ["inner", "outer", "both"])
def test_scopes_nest(winner: str) -> None:
    async def main() -> None:
        outer, inner = CancellationTokenSource(), CancellationTokenSource()
        loop = asyncio.get_running_loop()
        if winner in ("inner", "both"):
            loop.call_soon(inner.cancel)
        if winner in ("outer", "both"):
            loop.call_soon(outer.cancel)
        log = []
        with pytest.raises(OperationCanceledError) as info:
            async with cancel_scope(outer.token):
                try:
                    async with cancel_scope(inner.token):
                        await asyncio.sleep(FOREVER)
                except OperationCanceledError as error:
                    log.append(error.token)
                    raise
        token = inner.token if winner == "inner" else outer.token
        assert info.value.token == token
        assert log == ([inner.token] if winner == "inner" else [])
        assert current().cancelling() == 0
        await turns()

    asyncio.run(main())


@in_loop
async def test_nested_scopes_on_one_token_end_with_the_outer_one() -> None:
    source = CancellationTokenSource()
    asyncio.get_running_loop().call_soon(source.cancel)
    with pytest.raises(OperationCanceledError):
        async with cancel_scope(source.token), cancel_scope(source.token):
            await asyncio.sleep(FOREVER)
    assert current().cancelling() == 0


@in_loop
async def test_a_scope_on_a_cancelled_token_begins_no_block() -> None:
    source = CancellationTokenSource()
    source.cancel("closed")
    begun: list[str] = []
    scope = cancel_scope(source.token)
    for _ in range(2):  # nor has it been entered
        with pytest.raises(OperationCanceledError, match="closed") as info:
            async with scope:
                begun.append("begun")
        assert info.value.token == source.token
    assert begun == []
    assert current().cancelling() == 0


@in_loop
async def test_workers_over_a_full_queue_stop_at_the_next_scope() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for number in range(1000):
        queue.put_nowait(number)
    source = CancellationTokenSource()
    taken: list[int] = []

    async def worker() -> None:
        while True:
            async with cancel_scope(source.token):
                taken.append(await queue.get())  # does not really wait
            if taken[-1] == 9:
                source.cancel()

    with pytest.raises(OperationCanceledError):
        await worker()
    assert taken == list(range(10))


@in_loop
async def test_the_repr_of_a_scope_tells_its_state_and_its_token() -> None:
    source = CancellationTokenSource()
    scope = cancel_scope(source.token)
    assert repr(scope) == "<cancel_scope not entered, <CancellationToken not canceled>>"
    with pytest.raises(OperationCanceledError):
        async with scope:
            assert repr(scope) == "<cancel_scope in use, <CancellationToken not canceled>>"
            source.cancel("click")
            await asyncio.sleep(FOREVER)
    assert repr(scope) == "<cancel_scope left, <CancellationToken canceled: 'click'>>"


@in_loop
async def test_a_scope_is_for_one_block_of_one_task() -> None:
    scope = cancel_scope(none)
    async with scope:
        with pytest.raises(RuntimeError, match="has been entered before"):
            await scope.__aenter__()


def test_a_scope_outside_a_task_says_so() -> None:
    loop = asyncio.new_event_loop()

    def enter() -> None:
        with pytest.raises(RuntimeError, match="only inside a task"):
            cancel_scope(none).__aenter__().send(None)

    loop.call_soon(enter)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()


# With asyncio's own tools, either way round


async def run_scope(token: CancellationToken, work: Coroutine[Any, Any, Any]) -> None:
    async with cancel_scope(token):
        await work


Both = pytest.mark.parametrize("run", [run_scope, lambda t, w: run_until_canceled(w, t)], ids=["scope", "run_until"])


@Both
def test_a_timeout_around_it_is_a_timeout(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await run(CancellationTokenSource().token, asyncio.sleep(FOREVER))
        assert current().cancelling() == 0

    asyncio.run(main())


@Both
def test_a_timeout_inside_it_is_a_timeout(run: Any) -> None:
    async def main() -> None:
        async def work() -> None:
            async with asyncio.timeout(0.005):
                await asyncio.sleep(FOREVER)

        with pytest.raises(TimeoutError):
            await run(CancellationTokenSource().token, work())
        assert current().cancelling() == 0

    asyncio.run(main())


@Both
def test_a_cancel_inside_a_timeout_is_a_cancel(run: Any) -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        asyncio.get_running_loop().call_soon(source.cancel)
        with pytest.raises(OperationCanceledError):
            async with asyncio.timeout(FOREVER):
                await run(source.token, asyncio.sleep(FOREVER))
        source = CancellationTokenSource()
        asyncio.get_running_loop().call_soon(source.cancel)

        async def work() -> None:
            async with asyncio.timeout(FOREVER):
                await asyncio.sleep(FOREVER)

        with pytest.raises(OperationCanceledError):
            await run(source.token, work())
        assert current().cancelling() == 0

    asyncio.run(main())


def test_when_timeout_and_token_strike_together_the_outer_one_speaks() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source = CancellationTokenSource()
        loop.call_soon(source.cancel)
        with pytest.raises(OperationCanceledError):
            async with cancel_scope(source.token), asyncio.timeout(0):
                await asyncio.sleep(FOREVER)
        source = CancellationTokenSource()
        loop.call_soon(source.cancel)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), cancel_scope(source.token):
                await asyncio.sleep(FOREVER)
        assert current().cancelling() == 0
        await turns()

    asyncio.run(main())


@Both
def test_a_task_group_inside_it_is_stopped_with_all_its_tasks(run: Any) -> None:
    async def main() -> None:
        log: list[str] = []

        async def member() -> None:
            try:
                await asyncio.sleep(FOREVER)
            finally:
                await asyncio.sleep(0)
                log.append("ended")

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(member())
                group.create_task(member())

        source = CancellationTokenSource()
        asyncio.get_running_loop().call_later(0.002, source.cancel)
        with pytest.raises(OperationCanceledError):
            await run(source.token, work())
        assert log == ["ended", "ended"]
        assert current().cancelling() == 0

    asyncio.run(main())


@Both
def test_a_task_group_around_it_takes_it_for_an_error_of_that_task(run: Any) -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        asyncio.get_running_loop().call_later(0.002, source.cancel)
        siblings: list[asyncio.Task[None]] = []
        with pytest.raises(ExceptionGroup) as info:
            async with asyncio.TaskGroup() as group:
                siblings.append(group.create_task(asyncio.sleep(FOREVER)))
                group.create_task(run(source.token, asyncio.sleep(FOREVER)))
        assert [type(e) for e in info.value.exceptions] == [OperationCanceledError]
        assert siblings[0].cancelled()

    asyncio.run(main())


@Both
def test_a_failing_sibling_stops_it_and_is_what_comes_out(run: Any) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise KeyError

        with pytest.raises(ExceptionGroup) as info:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await run(CancellationTokenSource().token, asyncio.sleep(FOREVER))
        assert [type(e) for e in info.value.exceptions] == [KeyError]
        assert current().cancelling() == 0

    asyncio.run(main())


@Both
def test_shielded_work_goes_on_when_it_is_stopped(run: Any) -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        future = asyncio.get_running_loop().create_future()

        async def work() -> int:
            result: int = await future
            return result

        task = asyncio.create_task(work())

        async def shielded() -> None:
            await asyncio.shield(task)

        asyncio.get_running_loop().call_later(0.002, source.cancel)
        with pytest.raises(OperationCanceledError):
            await run(source.token, shielded())
        assert not task.done()
        future.set_result(3)
        assert await task == 3

    asyncio.run(main())


@Both
def test_anyio_around_and_inside_it(run: Any) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.005) as scope:
            await run(CancellationTokenSource().token, anyio.sleep(FOREVER))
        assert scope.cancelled_caught
        assert current().cancelling() == 0

        source = CancellationTokenSource()
        asyncio.get_running_loop().call_later(0.002, source.cancel)

        async def work() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, FOREVER)
                with anyio.CancelScope():
                    await anyio.sleep(FOREVER)

        with pytest.raises(OperationCanceledError):
            await run(source.token, work())
        assert current().cancelling() == 0
        await turns()

    asyncio.run(main())


@in_loop
async def test_gather_of_waits_on_one_token_gives_each_its_own_error() -> None:
    source = CancellationTokenSource()
    asyncio.get_running_loop().call_soon(source.cancel)
    results = await asyncio.gather(*(delay(FOREVER, source.token) for _ in range(3)), return_exceptions=True)
    assert [type(r) for r in results] == [OperationCanceledError] * 3
    assert len({id(r) for r in results}) == 3


class Job:
    """An awaitable that is no coroutine: its last step cancels its own token."""

    def __init__(self, source: CancellationTokenSource) -> None:
        self.source = source

    def __await__(self) -> Generator[Any, None, str]:
        yield from asyncio.sleep(0).__await__()
        self.source.cancel()
        return "done"


def test_whatever_is_awaited_has_its_result_when_it_cancels_its_token_in_its_last_step() -> None:
    async def coroutine(source: CancellationTokenSource) -> str:
        return await Job(source)

    async def main() -> None:
        for awaited in (Job, coroutine, lambda source: asyncio.gather(coroutine(source))):
            source = CancellationTokenSource()
            assert await run_until_canceled(awaited(source), source.token) in ("done", ["done"])

    asyncio.run(main())


def test_a_scope_whose_task_is_no_coroutine_leaves_no_cancel_behind() -> None:
    class Block:
        def __await__(self) -> Generator[Any, None, str]:
            return self.run().__await__()

        async def run(self) -> str:
            source = CancellationTokenSource()
            async with cancel_scope(source.token):
                source.cancel()
            await asyncio.sleep(0)
            return "no cancel came after the block"

    async def main() -> None:
        assert await asyncio.ensure_future(Block()) == "no cancel came after the block"

    asyncio.run(main())


def test_a_task_that_is_left_on_a_dead_loop_in_a_wait_without_a_token_is_freed() -> None:
    async def wait(how: str) -> None:
        if how == "delay":
            await delay(1000)
        elif how == "scope":
            async with cancel_scope(CancellationToken.none):
                await asyncio.sleep(1000)
        else:
            await run_until_canceled(asyncio.sleep(1000), CancellationToken.none)

    for how in ("delay", "scope", "run"):
        loop = asyncio.new_event_loop()
        task = loop.create_task(wait(how))
        loop.run_until_complete(asyncio.sleep(0))
        assert not CancellationToken.none._waiters
        for pending in asyncio.all_tasks(loop):
            pending.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


def test_the_error_of_a_cancel_async_that_nobody_awaited_leaves_no_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mark:
        pass

    def fail() -> None:
        mark = Mark()
        marks.append(weakref.ref(mark))
        raise RuntimeError("boom")

    marks: list[weakref.ref[Mark]] = []
    reported = list[str]()
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(str(args.exc_value)))
    source = CancellationTokenSource()
    source.token.register(fail)
    gc.disable()
    try:
        end = source.cancel_async()
        assert end._end.wait(PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "cancellation-callbacks":
                thread.join(PATIENCE)
        del end
        assert len(reported) == 1
        assert marks[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "begin",
    [
        lambda token: token.wait_async(),
        lambda token: delay(1, token),
        lambda token: run_until_canceled(asyncio.sleep(0), token),
        lambda token: cancel_scope(token).__aenter__(),
        lambda token: anext(until_canceled(Stream(), token)),
        lambda token: run_to_end(asyncio.sleep(0)),
        lambda token: to_thread(print, token=token),
    ],
)
def test_where_no_asyncio_loop_runs_as_under_trio_the_error_says_so(begin: Callable[[CancellationToken], Any]) -> None:
    waiting = begin(CancellationTokenSource().token).__await__()
    with pytest.raises(RuntimeError, match=r"needs a running asyncio event loop.*In a thread use token\.wait\(\)"):
        next(waiting)


class Stream:
    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> int:
        return 1


@pytest.mark.parametrize("turns", range(4))
def test_a_block_that_has_a_result_each_time_the_scope_looks_is_stopped_all_the_same(turns: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source = CancellationTokenSource()
        got: list[None] = []

        async def work() -> None:
            async with cancel_scope(source.token):
                for _ in range(1000):
                    future = loop.create_future()
                    loop.call_soon(future.set_result, None)
                    got.append(await future)

        def cancel_in(turns: int) -> None:
            loop.call_soon(cancel_in, turns - 1) if turns else source.cancel()

        task = asyncio.create_task(work())
        cancel_in(10 + turns)
        with pytest.raises(OperationCanceledError):
            await task
        assert len(got) < 20

    asyncio.run(main())


def test_a_block_that_awaits_a_plain_future_is_stopped_at_once_and_one_that_awaits_a_gather_soon() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        never = loop.create_future()

        async def work(source: CancellationTokenSource, awaited: Any) -> None:
            async with cancel_scope(source.token):
                await awaited

        for awaited, at_once in ((never, 1), (asyncio.gather(loop.create_future()), 0)):
            source = CancellationTokenSource()
            task = asyncio.create_task(work(source, awaited))
            await asyncio.sleep(0)
            source.cancel()
            assert task.cancelling() == at_once
            await turns(10)
            assert type(task.exception()) is OperationCanceledError

    asyncio.run(main())


def test_a_result_that_an_awaited_task_was_handed_is_not_lost() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source = CancellationTokenSource()
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def work() -> str:
            async with cancel_scope(source.token):
                return await asyncio.create_task(queue.get())

        def put_and_cancel() -> None:
            queue.put_nowait("item")
            source.cancel()

        task = asyncio.create_task(work())
        for _ in range(3):
            await asyncio.sleep(0)
        loop.call_soon(put_and_cancel)
        assert await task == "item"

    asyncio.run(main())


def test_a_loop_that_cannot_be_woken_costs_no_callback() -> None:
    loop = asyncio.new_event_loop()

    def broken(*_: object) -> None:
        raise RuntimeError("broken loop")

    for cancel in ("cancel", "cancel_async"):
        source, log = CancellationTokenSource(), list[str]()
        source.token.register(log.append, "callback")
        waiter = source.token.wait_async()

        async def step(waiter: Any = waiter) -> None:
            waiter.send(None)

        loop.run_until_complete(step())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", broken)
            with pytest.raises(RuntimeError, match="broken loop"):
                getattr(source, cancel)()
        for thread in threading.enumerate():
            if thread.name == "cancellation-callbacks":
                thread.join(PATIENCE)
        assert log == ["callback"]
        waiter.close()
    loop.close()


@in_loop
async def test_no_item_is_lost_in_a_gather_whoever_cancels_in_the_turns_after_it_came() -> None:
    async def take(queue: asyncio.Queue[int]) -> int:
        return (await asyncio.gather(queue.get()))[0]

    loop = asyncio.get_running_loop()
    for later in range(4):
        for from_callback in (True, False):
            queue: asyncio.Queue[int] = asyncio.Queue()
            source = CancellationTokenSource()
            task = asyncio.create_task(run_until_canceled(take(queue), source.token))
            await turns()
            queue.put_nowait(7)
            await turns(later)
            if from_callback:
                loop.call_soon(source.cancel)
            else:
                source.cancel()
            await asyncio.wait([task])
            got = [] if task.exception() else [task.result()]
            assert len(got) + queue.qsize() == 1, (later, from_callback)


@in_loop
async def test_a_real_cancel_wins_while_a_task_is_waited_for_that_a_cancelled_token_has_stopped() -> None:
    async def slow() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await asyncio.sleep(FOREVER)  # its cleanup

    child = asyncio.create_task(slow())
    await turns()
    caller = asyncio.create_task(run_until_canceled(child, CancellationToken(True)))
    await turns()
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()


@in_loop
async def test_a_cancel_that_was_swallowed_before_is_not_taken_for_a_new_one() -> None:
    async def caller() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(FOREVER)
        assert current().cancelling() == 1
        await run_until_canceled(asyncio.create_task(asyncio.sleep(FOREVER)), CancellationToken(True))

    task = asyncio.create_task(caller())
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert type(task.exception()) is OperationCanceledError


@pytest.mark.parametrize("token", [CancellationTokenSource().token, CancellationToken(True)])
def test_the_error_of_a_task_that_is_run_until_canceled_does_not_keep_that_task(token: CancellationToken) -> None:
    async def fail() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            raise KeyError("k")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        ref = weakref.ref(task)
        error: BaseException | None = None
        try:
            await run_until_canceled(task, token)
        except KeyError as caught:
            error = caught
        del task
        await turns()
        assert error is not None  # and with it its traceback
        assert ref() is None

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
