"""Blocking work on a thread that a cancel of the waiting task reaches."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from cancellation.errors import OperationCanceledError
from cancellation.source import CancellationTokenSource
from cancellation.token import HAS_THREADS, CancellationToken
from cancellation.wakeups import running_loop

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def to_thread(
    function: Callable[[*Ts, CancellationToken], T], *args: *Ts, token: CancellationToken = CancellationToken.none
) -> T:
    """Run `function(*args, token)` on a thread, and await its result: `asyncio.to_thread`, with a token that works.

        async def polish(glasses, token):
            return await to_thread(rub_all, glasses, token=token)      # def rub_all(glasses, token): ...

    The last argument of the function is a token linked to `token`. The function looks at it, or waits on it. A cancel
    of the waiting task cancels that token, too, with a reason that says so. The `CancelledError` comes out when the
    thread has ended, whereas `asyncio.to_thread` would leave the thread at work.

    An error of the function comes out as it is. If the task was cancelled, too, that error is the `__cause__` of the
    `CancelledError`. On a token already cancelled, and after a cancel that comes before a thread is free, the function
    never begins. It sees a copy of the caller's context variables, as with `asyncio.to_thread`. `RuntimeError` where no
    asyncio loop runs.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.tasks.task.run
    """
    import asyncio
    from concurrent.futures import Future

    if not isinstance(token, CancellationToken):
        raise TypeError(f"token must be a CancellationToken, not {token!r}")
    loop = running_loop("to_thread")
    if not HAS_THREADS:
        raise RuntimeError("to_thread needs threads, and there are none here: no cancel could reach the function")
    token.throw_if_cancellation_requested()
    job: Future[T] = Future()
    end = asyncio.wrap_future(job)
    source = CancellationTokenSource.create_linked_token_source(token)
    canceled: asyncio.CancelledError | None = None
    executed: asyncio.Future[None] | None = None
    try:
        with source, source.token.register(job.cancel):  # which does nothing once the thread has begun
            call: Callable[[], T] = partial(copy_context().run, function, *args, source.token)
            executed = loop.run_in_executor(None, _run, [(job, call)])
            while not (end.done() or executed.done()):
                try:
                    await asyncio.wait([end, executed], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
                except asyncio.CancelledError as error:
                    canceled = canceled or error
                    _cancel(source, loop)
        if not end.done():  # the executor has given it up: its threads cannot start, or it was shut down
            await executed
        if canceled is not None:
            raise canceled from (None if end.cancelled() else end.exception())
        if end.cancelled():
            raise OperationCanceledError(None, token)
        return end.result()
    finally:
        del job, end, executed, canceled  # a traceback keeps this frame, which must not keep the error


def _cancel(source: CancellationTokenSource, loop: asyncio.AbstractEventLoop) -> None:
    try:
        source.cancel("the task that waits for the thread was cancelled")
    except BaseExceptionGroup as errors:  # of the function's callbacks; the thread still has to be waited for
        loop.call_exception_handler({"message": "to_thread: callbacks failed at a cancel", "exception": errors})


def _run(jobs: list[tuple[Future[T], Callable[[], T]]]) -> None:
    # An error's traceback keeps this frame and, by way of the executor's, its argument: neither must keep the error.
    job, call = jobs.pop()
    if job.set_running_or_notify_cancel():  # else it was cancelled before a thread was free
        try:
            job.set_result(_without_stop_iteration(call))
        except BaseException as error:
            job.set_exception(error)
        finally:
            del job


def _without_stop_iteration(call: Callable[[], T]) -> T:
    try:
        return call()
    except StopIteration as error:
        # A future that is given one waits for ever: https://github.com/python/cpython/issues/112182
        raise RuntimeError("the function raised StopIteration") from error
