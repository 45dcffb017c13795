"""Cleanup that a second cancel does not cut off."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import TypeVar

from cancellation.clock import to_seconds
from cancellation.wakeups import running_loop

T = TypeVar("T")


async def run_to_end(awaitable: Awaitable[T], within: float | timedelta | None = None) -> T:
    """Await a piece of cleanup to its end, even if the waiting task is cancelled meanwhile. Returns its result.

        try:
            await cook(token)
        except BaseException:
            await run_to_end(bank.refund(order), within=10)
            raise

    `asyncio.shield` protects the work but not the wait: after a cancel the refund goes on alone, and dies with the
    program. Here the task goes on waiting. Its cancel (a second click, `asyncio.timeout`, a task group whose sibling
    failed, the end of `asyncio.run`) is raised when the work has ended, as the usual `CancelledError`. If the work
    fails, its error comes out. If the task was cancelled, too, that error is the `__cause__` of the `CancelledError`.

    `within` (seconds or a `timedelta`): after that time the work is cancelled, and when it has ended, `TimeoutError` is
    raised. None means no limit. `TypeError` or `ValueError` for a value that is not a time.

    The work runs in a task of its own, which `asyncio.all_tasks` does not list. It sees a copy of the context
    variables, so what it sets there is lost. Tasks that the work starts are listed, and the end of `asyncio.run`
    cancels those. `RuntimeError` where no asyncio loop runs.

    Kotlin: https://kotlinlang.org/api/kotlinx.coroutines/kotlinx-coroutines-core/kotlinx.coroutines/-non-cancellable/
    """
    import asyncio

    try:
        seconds = None if within is None else to_seconds(within, "within")
        loop = running_loop("run_to_end")
    except BaseException:
        if isinstance(awaitable, Coroutine):
            awaitable.close()  # or Python warns of one that was never started
        raise
    # Not loop.create_task: of what a task factory makes, nothing is known about its place in that list.
    work = asyncio.Task(_result_of(awaitable), loop=loop)
    # The end of asyncio.run cancels all tasks that are listed, the work as well as the wait.
    # https://docs.python.org/3/library/asyncio-extending.html#task-lifetime-support
    asyncio.tasks._unregister_task(work)
    end = None if seconds is None else loop.time() + seconds
    too_late = False
    canceled: asyncio.CancelledError | None = None
    failure: BaseException | None = None
    try:
        while not work.done():
            try:
                await asyncio.wait([work], timeout=None if end is None or too_late else max(0, end - loop.time()))
            except asyncio.CancelledError as error:
                canceled = canceled or error
            else:
                if not work.done():
                    too_late = True
                    work.cancel()
        try:
            result = work.result()
        except BaseException as error:
            failure = error
        if too_late and isinstance(failure, asyncio.CancelledError):
            failure = TimeoutError(f"the work had not ended within {seconds:g} s, and was cancelled")
        if canceled is not None:
            raise canceled from failure
        if failure is not None:
            raise failure
        return result
    finally:
        del awaitable, work, canceled, failure  # a traceback keeps this frame, which must not keep the error


async def _result_of(awaitable: Awaitable[T]) -> T:
    try:
        return await awaitable
    finally:
        del awaitable  # a task's error keeps this frame, which must not keep the task
