"""to_thread: blocking work on a thread, that hears every kind of cancel, and is always waited for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

import pytest
from token_helpers import PATIENCE, Blocker, in_loop, turns

from cancellation import (
    CancellationToken,
    CancellationTokenSource,
    OperationCanceledError,
    cancel_scope,
    run_until_canceled,
    to_thread,
)

none = CancellationToken.none


class Watcher:
    """Blocking work that says when it has begun, ends when its token is cancelled, and then says so."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended = False
        self.reason: object = None

    def __call__(self, token: CancellationToken) -> str:
        self.started.set()
        assert token.wait(PATIENCE)
        self.reason = token.reason
        self.ended = True
        token.throw_if_cancellation_requested()
        return "never"

    async def has_started(self) -> None:
        assert await asyncio.to_thread(self.started.wait, PATIENCE)


@contextlib.asynccontextmanager
async def busy_executor() -> AsyncIterator[None]:
    """The loop's executor has one thread, and that one is busy inside the block."""
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    blocker = Blocker()
    executor.submit(blocker)
    try:
        yield
    finally:
        blocker.let_go.set()


@in_loop
async def test_it_gives_the_functions_result_and_passes_arguments_and_a_token_of_its_own() -> None:
    source = CancellationTokenSource()
    seen: list[CancellationToken] = []

    def add(a: int, b: int, token: CancellationToken) -> tuple[int, int]:
        seen.append(token)
        return a + b, threading.get_ident()

    total, thread = await to_thread(add, 1, 2, token=source.token)
    assert total == 3
    assert thread != threading.get_ident()
    await to_thread(add, 1, 2)
    assert source.token not in seen
    assert all(token.can_be_canceled for token in seen)
    assert not source.token._callbacks  # nothing is left on the token


@in_loop
async def test_on_a_cancelled_token_nothing_begins() -> None:
    begun: list[str] = []
    with pytest.raises(OperationCanceledError) as info:
        await to_thread(lambda token: begun.append("begun"), token=CancellationToken(True))
    assert info.value.token is CancellationToken(True)
    assert begun == []


@in_loop
async def test_what_is_no_token_is_refused() -> None:
    with pytest.raises(TypeError, match="token must be a CancellationToken, not None"):
        await to_thread(lambda token: None, token=None)  # type: ignore[arg-type]


def test_without_a_loop_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="to_thread needs a running asyncio event loop"):
        to_thread(lambda token: None).send(None)


@pytest.mark.parametrize("how", ["token", "task"])
def test_what_is_cancelled_while_it_queues_for_a_thread_never_begins(how: str) -> None:
    @in_loop
    async def test() -> None:
        begun: list[str] = []
        source = CancellationTokenSource()
        async with busy_executor():
            waits = asyncio.create_task(to_thread(lambda token: begun.append("begun"), token=source.token))
            await turns()
            if how == "token":
                source.cancel("no longer needed")
                with pytest.raises(OperationCanceledError, match="no longer needed") as info:
                    await waits
                assert info.value.token == source.token
            else:
                waits.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waits
        await asyncio.get_running_loop().shutdown_default_executor()  # it has come to the job, and passed it over
        assert begun == []

    test()


@in_loop
async def test_a_cancel_of_the_token_reaches_the_running_thread_and_waits_for_its_end() -> None:
    watcher, source = Watcher(), CancellationTokenSource()
    waits = asyncio.create_task(to_thread(watcher, token=source.token))
    await watcher.has_started()
    source.cancel("closing time")
    with pytest.raises(OperationCanceledError) as info:
        await waits
    assert watcher.ended
    assert (info.value.reason, info.value.origin, watcher.reason) == ("closing time", source.token, "closing time")


@in_loop
async def test_a_cancel_of_the_task_reaches_the_thread_with_a_reason_and_comes_out_after_its_end() -> None:
    watcher = Watcher()
    waits = asyncio.create_task(to_thread(watcher))
    await watcher.has_started()
    waits.cancel()
    with pytest.raises(asyncio.CancelledError) as info:
        await waits
    assert watcher.ended
    assert watcher.reason == "the task that waits for the thread was cancelled"
    assert isinstance(info.value.__cause__, OperationCanceledError)
    assert waits.cancelled()


@in_loop
async def test_a_second_and_a_third_cancel_of_the_task_still_wait_for_the_thread() -> None:
    blocker = Blocker()
    waits = asyncio.create_task(to_thread(lambda token: blocker()))
    assert await asyncio.to_thread(blocker.started.wait, PATIENCE)
    for _ in range(3):
        waits.cancel()
        await turns()
        assert not waits.done()
    blocker.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert blocker.done


@in_loop
async def test_a_cancel_of_the_task_never_touches_the_callers_token() -> None:
    watcher, source = Watcher(), CancellationTokenSource()
    waits = asyncio.create_task(to_thread(watcher, token=source.token))
    await watcher.has_started()
    waits.cancel()
    await asyncio.wait([waits])
    assert not source.is_cancellation_requested


@in_loop
async def test_a_function_that_ignores_the_cancel_of_the_token_still_gives_its_result() -> None:
    source = CancellationTokenSource()

    def deaf(token: CancellationToken) -> str:
        source.cancel()
        return "done all the same"

    assert await to_thread(deaf, token=source.token) == "done all the same"


@in_loop
async def test_an_error_of_the_function_comes_out_as_it_is_cancelled_or_not() -> None:
    source = CancellationTokenSource()

    def fail(cancel: bool, token: CancellationToken) -> None:
        if cancel:
            source.cancel()
        raise KeyError("k")

    for cancel in (False, True):
        with pytest.raises(KeyError):
            await to_thread(fail, cancel, token=source.token)


@in_loop
async def test_an_error_of_the_function_is_the_cause_of_a_cancel_of_the_task() -> None:
    started = threading.Event()

    def fail(token: CancellationToken) -> None:
        started.set()
        token.wait(PATIENCE)
        raise KeyError("k")

    waits = asyncio.create_task(to_thread(fail))
    assert await asyncio.to_thread(started.wait, PATIENCE)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError) as info:
        await waits
    assert isinstance(info.value.__cause__, KeyError)


@in_loop
async def test_a_function_that_raises_stop_iteration_gives_an_error_and_no_endless_wait() -> None:
    def stop(token: CancellationToken) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration") as info:
        await to_thread(stop)
    assert isinstance(info.value.__cause__, StopIteration)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_error_that_is_no_exception_comes_out_too(error: BaseException) -> None:
    def leave(token: CancellationToken) -> None:
        raise error

    async def main() -> None:
        with pytest.raises(type(error)):
            await to_thread(leave)

    asyncio.run(main())


@in_loop
async def test_the_error_of_a_callback_on_the_threads_token_cuts_off_no_wait_and_is_reported() -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    blocker = Blocker()

    def work(token: CancellationToken) -> None:
        token.register(lambda: 1 / 0)
        blocker()

    waits = asyncio.create_task(to_thread(work))
    assert await asyncio.to_thread(blocker.started.wait, PATIENCE)
    waits.cancel()
    await turns()
    assert not waits.done()
    blocker.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waits
    [context] = reported
    assert isinstance(context["exception"], ExceptionGroup)
    assert "to_thread" in context["message"]


@in_loop
async def test_where_no_thread_can_be_had_the_error_is_the_executors_own() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()
    with pytest.raises(RuntimeError, match="shutdown"):
        await to_thread(lambda token: None)


@in_loop
async def test_the_thread_sees_the_callers_context_variables_and_keeps_its_own_to_itself() -> None:
    order = contextvars.ContextVar("order", default=0)
    order.set(7)

    def look(token: CancellationToken) -> int:
        before = order.get()
        order.set(8)
        return before

    assert await to_thread(look) == 7
    assert order.get() == 7


@in_loop
async def test_no_more_run_at_once_than_the_loops_executor_has_threads() -> None:
    lock = threading.Lock()
    running = most = 0
    both = threading.Barrier(2)

    def work(token: CancellationToken) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(PATIENCE)  # until the other thread has its job, too
        with lock:
            running -= 1
        both.wait(PATIENCE)

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    await asyncio.gather(*(to_thread(work) for _ in range(6)))
    assert most == 2


@in_loop
async def test_a_scope_a_timeout_and_run_until_canceled_all_wait_for_the_thread() -> None:
    for token_cancels in (True, False):
        watcher, source = Watcher(), CancellationTokenSource()

        async def in_scope(watcher: Watcher = watcher, source: CancellationTokenSource = source) -> None:
            async with cancel_scope(source.token):
                await to_thread(watcher)

        run = in_scope() if token_cancels else run_until_canceled(to_thread(watcher), source.token)
        task = asyncio.create_task(run)
        await watcher.has_started()
        source.cancel("enough")
        with pytest.raises(OperationCanceledError, match="enough"):
            await task
        assert watcher.ended

    watcher = Watcher()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await to_thread(watcher)
    assert watcher.ended


def test_the_end_of_asyncio_run_reaches_the_thread() -> None:
    watcher = Watcher()

    async def main() -> asyncio.Task[str]:
        task = asyncio.create_task(to_thread(watcher))
        await watcher.has_started()
        return task

    task = asyncio.run(main())
    assert watcher.ended
    assert task.cancelled()


@pytest.mark.parametrize("how", ["error", "token", "task"])
def test_what_comes_out_is_freed_with_its_last_reference(how: str) -> None:
    class Mark:
        pass

    marks: list[weakref.ref[Mark]] = []
    started = threading.Event()

    def work(token: CancellationToken) -> None:
        mark = Mark()
        marks.append(weakref.ref(mark))
        started.set()
        if how == "error":
            raise KeyError
        token.wait(PATIENCE)
        token.throw_if_cancellation_requested()

    async def main() -> None:
        source = CancellationTokenSource()
        executor = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(executor)
        task = asyncio.create_task(to_thread(work, token=source.token))
        await asyncio.get_running_loop().run_in_executor(watching, started.wait, PATIENCE)
        if how != "error":
            (source if how == "token" else task).cancel()
        await asyncio.wait([task])
        with contextlib.suppress(KeyError, OperationCanceledError, asyncio.CancelledError):
            task.result()
        del task
        executor.shutdown()  # its thread has left its last frame

    gc.collect()
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as watching:
            asyncio.run(main())
        assert marks[0]() is None
    finally:
        gc.enable()


def test_an_executor_that_gives_the_job_up_says_so_instead_of_letting_you_wait() -> None:
    def fail() -> None:
        raise RuntimeError("no thread for you")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, initializer=fail))
        with pytest.raises(BrokenThreadPool):
            await to_thread(lambda token: None)

    logging.getLogger("concurrent.futures").disabled = True  # it logs what the initializer raised
    try:
        asyncio.run(main())
    finally:
        logging.getLogger("concurrent.futures").disabled = False


def test_a_job_that_an_executor_drops_when_it_is_shut_down_ends_the_wait() -> None:
    async def main() -> None:
        pool, let_go = ThreadPoolExecutor(1), threading.Event()
        asyncio.get_running_loop().set_default_executor(pool)
        pool.submit(let_go.wait, PATIENCE)
        waiting = asyncio.create_task(to_thread(lambda token: None))
        await asyncio.sleep(0)
        pool.shutdown(wait=False, cancel_futures=True)
        let_go.set()
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    asyncio.run(main())
