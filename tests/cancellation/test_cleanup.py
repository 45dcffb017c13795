# ruff: noqa: PT012 - what leaves an async with block can only be caught around that block
"""run_to_end: cleanup that is waited for, whatever cancels the waiting task meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import traceback
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import anyio
import pytest
from token_helpers import in_loop, turns

from cancellation import (
    CancellationTokenSource,
    FakeTimeProvider,
    OperationCanceledError,
    cancel_scope,
    run_to_end,
    run_until_canceled,
)

FOREVER = 1000


class Refund:
    """Cleanup that ends when it is let, and logs what becomes of it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.let_go = asyncio.Event()

    async def __call__(self) -> str:
        self.log.append("began")
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        self.log.append("done")
        return "refunded"

    def soon(self, turns: int = 20) -> None:
        """Let it go some turns of the loop from now."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self.soon, turns - 1) if turns else self.let_go.set()


@in_loop
async def test_the_result_and_the_error_of_the_work_come_out() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> None:
        raise KeyError("k")

    assert await run_to_end(answer()) == 42
    with pytest.raises(KeyError):
        await run_to_end(fail())


@in_loop
async def test_it_takes_coroutines_tasks_futures_and_other_awaitables() -> None:
    class Job:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 1

    async def work() -> int:
        return 1

    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    done.set_result(1)
    awaitables: list[Awaitable[int]] = [work(), asyncio.create_task(work()), done, Job(), asyncio.shield(work())]
    for awaitable in awaitables:
        assert await run_to_end(awaitable) == 1


@pytest.mark.parametrize("cancels", [1, 2, 3])
def test_however_often_the_waiting_task_is_cancelled_the_work_ends_first(cancels: int) -> None:
    @in_loop
    async def test() -> None:
        refund = Refund()
        task = asyncio.create_task(run_to_end(refund()))
        await turns()
        for _ in range(cancels):
            task.cancel()
            await turns()
            assert not task.done()
        refund.let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert refund.log == ["began", "done"]
        assert task.cancelling() == cancels

    test()


@in_loop
async def test_cancels_before_and_after_it_begins_wait_for_the_work_too() -> None:
    refund = Refund()

    async def order() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            task.cancel()  # a second click, before the cleanup's first step
            await run_to_end(refund())

    task = asyncio.create_task(order())
    await turns()
    task.cancel()
    refund.soon()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refund.log == ["began", "done"]


@in_loop
async def test_the_first_cancel_with_its_message_is_the_one_that_comes_out() -> None:
    refund = Refund()
    task = asyncio.create_task(run_to_end(refund()))
    await turns()
    for message in ("first", "second"):
        task.cancel(message)
        await turns()
    refund.let_go.set()
    with pytest.raises(asyncio.CancelledError, match="first"):
        await task


@in_loop
async def test_an_error_of_the_work_is_the_cause_of_the_cancel_that_comes_after_it() -> None:
    let_go = asyncio.Event()

    async def work() -> None:
        await let_go.wait()
        raise KeyError("k")

    task = asyncio.create_task(run_to_end(work()))
    await turns()
    task.cancel()
    await turns()
    let_go.set()
    with pytest.raises(asyncio.CancelledError) as info:
        await task
    assert isinstance(info.value.__cause__, KeyError)


@in_loop
async def test_a_timeout_around_it_comes_when_the_work_is_done_and_is_a_timeout() -> None:
    refund = Refund()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            refund.soon()
            await run_to_end(refund())
    assert refund.log == ["began", "done"]


@in_loop
async def test_a_token_around_it_comes_when_the_work_is_done_and_is_the_tokens_error() -> None:
    async def in_scope(refund: Refund, source: CancellationTokenSource) -> None:
        async with cancel_scope(source.token):
            await run_to_end(refund())

    async def in_run(refund: Refund, source: CancellationTokenSource) -> None:
        await run_until_canceled(run_to_end(refund()), source.token)

    for run in (in_scope, in_run):
        refund, source = Refund(), CancellationTokenSource()
        task = asyncio.create_task(run(refund, source))
        await turns()
        source.cancel("click")
        refund.soon()
        with pytest.raises(OperationCanceledError, match="click"):
            await task
        assert refund.log == ["began", "done"]
        assert task.cancelling() == 0


@in_loop
async def test_a_task_group_whose_other_member_fails_waits_for_the_work() -> None:
    refund = Refund()

    async def fail() -> None:
        refund.soon()
        raise KeyError("sibling")

    with pytest.raises(ExceptionGroup) as info:
        async with asyncio.TaskGroup() as group:
            group.create_task(run_to_end(refund()))
            group.create_task(fail())
    assert [type(error) for error in info.value.exceptions] == [KeyError]
    assert refund.log == ["began", "done"]


@in_loop
async def test_a_cancelled_scope_of_anyio_waits_for_the_work() -> None:
    refund = Refund()
    refund.soon()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_to_end(refund())
    assert scope.cancelled_caught
    assert refund.log == ["began", "done"]


@pytest.mark.parametrize("eager", [False, True])
def test_the_end_of_asyncio_run_waits_for_the_work_and_does_not_cancel_it(eager: bool) -> None:
    if eager and not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")
    refunds: list[Refund] = []

    async def order() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await run_to_end(refunds[0]())

    async def main() -> asyncio.Task[None]:
        if eager:
            asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
        refunds.append(Refund())
        task = asyncio.create_task(order())
        await turns()
        task.cancel()
        await turns()
        assert refunds[0].log == ["began"]
        refunds[0].soon()
        return task

    task = asyncio.run(main())
    assert refunds[0].log == ["began", "done"]
    assert task.cancelled()


def test_the_end_of_asyncio_run_waits_for_cleanup_that_it_has_itself_begun() -> None:
    log: list[str] = []

    async def order() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await run_to_end(refund())

    async def refund() -> None:
        async with asyncio.timeout(FOREVER):
            await run_to_end(turns())  # within the work, too
            await run_until_canceled(turns(), CancellationTokenSource().token)
        log.append("done")

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(order())
        await turns()
        return task

    task = asyncio.run(main())
    assert log == ["done"]
    assert task.cancelled()


def test_tasks_that_the_work_starts_are_cancelled_by_the_end_of_asyncio_run_as_the_docstring_says() -> None:
    parts: list[asyncio.Task[Any]] = []

    async def refund() -> None:
        async with asyncio.TaskGroup() as group:
            parts.append(group.create_task(asyncio.sleep(FOREVER)))

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(run_to_end(refund()))
        await turns()
        return task

    assert asyncio.run(main()).cancelled()
    assert parts[0].cancelled()
    assert "Tasks that the work starts are listed" in str(run_to_end.__doc__)


@in_loop
async def test_a_task_begun_eagerly_can_be_cancelled_in_its_first_step_and_the_work_still_ends() -> None:
    if not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    refund = Refund()
    task = asyncio.create_task(run_to_end(refund()))
    loop.set_task_factory(None)
    task.cancel()
    refund.soon()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refund.log == ["began", "done"]


@in_loop
async def test_the_work_may_use_timeouts_scopes_and_task_groups_of_its_own() -> None:
    source = CancellationTokenSource()
    log: list[str] = []

    async def work() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(FOREVER)
        log.append("timeout")
        with contextlib.suppress(OperationCanceledError):
            async with cancel_scope(source.token):
                asyncio.get_running_loop().call_soon(source.cancel)
                await asyncio.sleep(FOREVER)
        log.append("scope")
        async with asyncio.TaskGroup() as group:
            group.create_task(turns())
            group.create_task(turns())
        log.append("group")
        assert await run_to_end(asyncio.sleep(0, "inner")) == "inner"
        log.append("run_to_end")

    task = asyncio.create_task(run_to_end(work()))
    await turns(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["timeout", "scope", "group", "run_to_end"]


@in_loop
async def test_one_inside_another_is_waited_for_through_both() -> None:
    refund = Refund()

    async def outer() -> str:
        return "outer of " + await run_to_end(refund())

    task = asyncio.create_task(run_to_end(outer()))
    await turns()
    task.cancel()
    await turns()
    assert not task.done()
    refund.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refund.log == ["began", "done"]


@in_loop
async def test_work_that_is_cancelled_by_others_comes_out_as_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(FOREVER))
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await run_to_end(task)


@in_loop
async def test_the_work_sees_the_context_variables_and_what_it_sets_stays_there() -> None:
    order = contextvars.ContextVar("order", default=0)
    order.set(7)

    async def work() -> int:
        seen = order.get()
        order.set(8)
        return seen

    assert await run_to_end(work()) == 7
    assert order.get() == 7


# within


@pytest.mark.parametrize("within", [0, 0.005, timedelta(milliseconds=5)])
def test_work_that_takes_too_long_is_cancelled_and_has_ended_when_the_timeout_comes_out(within: Any) -> None:
    @in_loop
    async def test() -> None:
        log: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(FOREVER)
            finally:
                await turns()
                log.append("ended")

        with pytest.raises(TimeoutError, match="the work had not ended within 0"):
            await run_to_end(work(), within=within)
        assert log == ["ended"]

    test()


@in_loop
async def test_a_future_that_takes_too_long_is_cancelled() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await run_to_end(future, within=0.001)
    assert future.cancelled()


@in_loop
async def test_work_in_time_has_its_result_and_no_timer_is_left() -> None:
    assert await run_to_end(asyncio.sleep(0, "in time"), within=FOREVER) == "in time"
    assert not [handle for handle in vars(asyncio.get_running_loop())["_scheduled"] if not handle.cancelled()][1:]


@in_loop
async def test_work_that_ignores_the_end_of_its_time_is_waited_for_and_gives_what_it_makes_of_it() -> None:
    async def work(error: Exception | None) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(FOREVER)
        await turns()
        if error is not None:
            raise error
        return "done all the same"

    assert await run_to_end(work(None), within=0) == "done all the same"
    with pytest.raises(KeyError):
        await run_to_end(work(KeyError("k")), within=0)


@in_loop
async def test_cancels_of_the_waiting_task_do_not_put_off_the_end_of_the_time() -> None:
    task = asyncio.create_task(run_to_end(asyncio.sleep(FOREVER), within=0.02))
    for _ in range(4):
        await asyncio.sleep(0.001)
        task.cancel()
    with pytest.raises(asyncio.CancelledError) as info:
        await task
    assert isinstance(info.value.__cause__, TimeoutError)


@in_loop
async def test_the_end_of_the_time_cancels_the_work_once() -> None:
    refund = Refund()

    async def work() -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await refund()

    task = asyncio.create_task(run_to_end(work(), within=0))
    await turns(20)
    task.cancel()  # not even together with a cancel from outside
    await turns(20)
    refund.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refund.log == ["began", "done"]


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "1", True])
def test_what_is_no_time_is_refused_and_python_warns_of_nothing(bad: Any) -> None:
    async def main() -> None:
        with pytest.raises((TypeError, ValueError), match="within must be"):
            await run_to_end(asyncio.sleep(0), within=bad)

    asyncio.run(main())


def test_without_a_loop_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="run_to_end needs a running asyncio event loop"):
        run_to_end(asyncio.sleep(0)).send(None)


# Freed by reference count alone


async def fail(mark: object) -> None:
    await asyncio.sleep(0)
    raise KeyError


async def hang(mark: object) -> None:
    await asyncio.sleep(FOREVER)


@pytest.mark.parametrize("wrap", [lambda work: work, asyncio.ensure_future], ids=["coroutine", "task"])
@pytest.mark.parametrize(
    ("work", "within", "cancel"), [(fail, None, False), (fail, None, True), (hang, 0, False), (hang, 0, True)]
)
def test_what_comes_out_is_freed_with_its_last_reference(
    wrap: Any, work: Callable[[object], Coroutine[Any, Any, None]], within: float | None, cancel: bool
) -> None:
    class Mark:
        pass

    async def main() -> None:
        mark = Mark()
        marks.append(weakref.ref(mark))

        async def waits(mark: Mark) -> None:
            await run_to_end(wrap(work(mark)), within)

        task = asyncio.create_task(waits(mark))
        del mark
        await turns(1)
        if cancel:
            task.cancel()
        await asyncio.wait([task])
        with contextlib.suppress(KeyError, TimeoutError, asyncio.CancelledError):
            task.result()
        del task  # the traceback keeps this frame

    marks: list[weakref.ref[Mark]] = []
    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        assert marks[0]() is None
    finally:
        gc.enable()


def test_cleanup_that_failed_while_a_deadline_stopped_the_block_is_told_by_the_error() -> None:
    async def refund() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("refund failed")

    async def main() -> None:
        clock = FakeTimeProvider()
        source = CancellationTokenSource(5, time_provider=clock)

        async def block() -> None:
            async with cancel_scope(source.token):
                try:
                    await asyncio.sleep(1000)
                finally:
                    await run_to_end(refund())

        task = asyncio.create_task(block())
        await clock.advance_async(5)
        await asyncio.wait([task])
        error = task.exception()
        assert isinstance(error, OperationCanceledError | ValueError)
        assert "refund failed" in "".join(traceback.format_exception(error))

        async def stopped_meanwhile() -> None:
            async with cancel_scope(second.token):
                await run_to_end(refund())

        second = CancellationTokenSource()
        task = asyncio.create_task(stopped_meanwhile())
        await asyncio.sleep(0)
        second.cancel(TimeoutError("a reason that hides the context"))
        await asyncio.wait([task])
        assert isinstance(task.exception(), OperationCanceledError)
        assert "While it stopped: ValueError('refund failed')" in "".join(traceback.format_exception(task.exception()))

    asyncio.run(main())
