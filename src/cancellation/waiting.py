"""Waiting in asyncio so that a cancel ends it: for a time, for an awaitable, for whatever a block awaits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cancellation.clock import TimeProvider, check_time_provider, to_seconds
from cancellation.errors import OperationCanceledError
from cancellation.token import CancellationToken
from cancellation.wakeups import finish, wake_on

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


async def delay(
    seconds: float | timedelta | None,
    token: CancellationToken = CancellationToken.none,
    *,
    time_provider: TimeProvider = TimeProvider.system,
) -> None:
    """Sleep for `seconds`, or until `token` is cancelled: then `OperationCanceledError`, without delay.

    None waits for the token alone (and `ObjectDisposedError` comes if its source is disposed). 0 lets other
    tasks run once. `TypeError` or `ValueError` for a bad time.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.tasks.task.delay
    """
    due = None if seconds is None else to_seconds(seconds, "seconds")
    _check_token(token)
    check_time_provider(time_provider)
    if due is None:
        await token.wait_async()
    token.throw_if_cancellation_requested()
    assert due is not None

    import asyncio

    if due == 0:
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    canceled = partial(_finish_if_canceled, token, future)
    _wake_when_canceled(token, canceled, loop)
    if time_provider is TimeProvider.system:
        stop = loop.call_later(due, finish, future, True).cancel
    else:
        stop = time_provider.create_timer(partial(wake_on, loop, [partial(finish, future, True)]), due).dispose
    try:
        elapsed = await future
    finally:
        stop()
        token._remove_waiter(canceled)
    if not elapsed:
        raise OperationCanceledError(None, token)


def _finish_if_canceled(token: CancellationToken, future: asyncio.Future[bool]) -> None:
    # If not canceled, the source was disposed: no concern of a wait that ends by itself.
    if token._canceled and not future.done():
        future.set_result(False)


async def run_until_canceled(awaitable: Awaitable[T], token: CancellationToken) -> T:
    """The result of `awaitable`; or, if `token` is cancelled first, cancel it and raise `OperationCanceledError`.

    The error comes when the awaitable has ended, its cleanup included. If it ends otherwise all the same, with a
    result or an error of its own, that is what comes out. A token cancelled before never starts it. A cancel of
    the calling task passes through to the awaitable and stays an `asyncio.CancelledError`.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.tasks.task.waitasync
    """
    import asyncio

    _check_token(token)
    if token._canceled and not asyncio.isfuture(awaitable):
        if isinstance(awaitable, Coroutine):
            awaitable.close()  # or Python warns that it was never awaited
        raise OperationCanceledError(None, token)
    task = asyncio.ensure_future(awaitable)
    caller = asyncio.current_task()
    canceled_before = caller.cancelling() if caller else 0
    stop = partial(_cancel_if_canceled, token, task)
    _wake_when_canceled(token, stop, asyncio.get_running_loop())
    try:
        return await task
    except asyncio.CancelledError:
        if not token._canceled or (caller and caller.cancelling() > canceled_before):
            raise
        raise OperationCanceledError(None, token)  # noqa: B904  (the cause is the reason; the context shows where)
    finally:
        token._remove_waiter(stop)
        del awaitable, task, stop, caller  # a traceback keeps this frame, which must not keep the error


def _cancel_if_canceled(token: CancellationToken, task: asyncio.Future[T]) -> None:
    if token._canceled:  # else the source was disposed
        _cancel_between_steps(task, task.cancel)


def _cancel_between_steps(task: asyncio.Future[T], cancel: Callable[[], object]) -> None:
    # The cancel may come from within the task itself, and a task that is cancelled while it runs keeps the request:
    # it would spoil its result, or hit what it awaits after the block that was meant.
    import asyncio

    if task.done():
        return
    if isinstance(task, asyncio.Task):
        coroutine = task.get_coro()  # Python 3.11 wraps other awaitables in a generator
        running = getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False)
    else:  # a `gather`, say, and any task may be a part of it
        running = asyncio.current_task() is not None
    if running:
        task.get_loop().call_soon(cancel)
    else:
        cancel()


class cancel_scope:  # noqa: N801  (lower case like asyncio.timeout: it reads as a verb)
    """`async with cancel_scope(token):` — the block is stopped at its next await once `token` is cancelled.

    `OperationCanceledError` comes out of the block when its own cleanup is done. It works like
    `asyncio.timeout`, and nests with it and with task groups either way round; a real cancel of the task wins.
    A block that ends without another await ends well. Only in the task that runs the block; enter it once.

    .NET has no such block: there every call takes the token. In Python it reaches code that takes none.
    """

    def __init__(self, token: CancellationToken) -> None:
        _check_token(token)
        self._token = token
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False

    async def __aenter__(self) -> Self:
        import asyncio

        if self._task is not None or self._interrupted:
            raise RuntimeError("this cancel_scope has been entered before; make a new one for each block")
        self._task = asyncio.current_task()
        if self._task is None:
            raise RuntimeError("cancel_scope works only inside a task")
        self._canceled_before = self._task.cancelling()
        _wake_when_canceled(self._token, self._stop, asyncio.get_running_loop())
        return self

    def _stop(self) -> None:
        if self._token._canceled and self._task is not None:  # else the source was disposed; or the block left
            _cancel_between_steps(self._task, self._interrupt)

    def _interrupt(self) -> None:
        if self._task is not None:
            self._interrupted = self._task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        import asyncio

        assert self._task is not None
        task, self._task = self._task, None
        self._token._remove_waiter(self._stop)
        if self._interrupted and task.uncancel() <= self._canceled_before and kind is asyncio.CancelledError:
            raise OperationCanceledError(None, self._token)


def _wake_when_canceled(token: CancellationToken, wake: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    if token is not CancellationToken.none:  # which lives for ever, and would hold on to whoever waits on a dead loop
        token._add_waiter(wake, loop)


def _check_token(token: object) -> None:
    if not isinstance(token, CancellationToken):
        raise TypeError(f"token must be a CancellationToken, not {token!r}")
