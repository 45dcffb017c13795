"""Waiting in asyncio so that a cancel ends it: for a time, for an awaitable, for whatever a block awaits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cancellation.clock import TimeProvider, check_time_provider, to_seconds
from cancellation.errors import OperationCanceledError, in_words
from cancellation.token import CancellationToken
from cancellation.wakeups import finish, running_loop, wake_on

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


async def delay(
    seconds: float | timedelta | None,
    token: CancellationToken = CancellationToken.none,
    *,
    time_provider: TimeProvider = TimeProvider.system,
) -> None:
    """Sleep for `seconds` (or a `timedelta`). As soon as `token` is cancelled, raise `OperationCanceledError`.

    None waits for the token alone, and raises `ObjectDisposedError` if its source is disposed. 0 lets other tasks
    run once. `TypeError` or `ValueError` for a bad time.

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
    loop = running_loop("delay")
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
    """The result of `awaitable`; or, if `token` is cancelled first, stop it and raise `OperationCanceledError`.

        page = await run_until_canceled(client.get(url), token)      # a call that takes no token of its own

    The awaitable runs in the calling task, under a `cancel_scope`: what it sets in context variables stays set, and an
    `async with` that it enters for you can be left outside. The error is raised when the awaitable has ended, its
    cleanup included. If it ends with a result or an error of its own after all, you get that. On a token already
    cancelled it never starts. A real cancel of the calling task wins, and stays an `asyncio.CancelledError`.

    A future or task is itself cancelled, for all that await it. One that has finished gives its result, even under a
    cancelled token. .NET's WaitAsync leaves the work running: for that, pass `asyncio.shield(work)`.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.tasks.task.waitasync
    """
    import asyncio

    try:
        _check_token(token)
        running_loop("run_until_canceled")
        task = asyncio.current_task()
        if not token._canceled:
            scoped = _in_scope(awaitable, token)
            return await (scoped if task else asyncio.ensure_future(scoped))  # without: it is driven by hand
        if not asyncio.isfuture(awaitable):
            raise OperationCanceledError(None, token)
        canceled_before = task.cancelling() if task else 0
        awaitable.cancel()  # which does nothing to a finished one
        try:
            result: T = await awaitable
            return result
        except asyncio.CancelledError:
            if task and task.cancelling() > canceled_before:
                raise
            raise OperationCanceledError(None, token)  # noqa: B904  (the cause is the reason)
    finally:
        if isinstance(awaitable, Coroutine):
            awaitable.close()  # or Python warns of one that was never started
        del awaitable  # a traceback keeps this frame, which must not keep the error


async def _in_scope(awaitable: Awaitable[T], token: CancellationToken) -> T:
    try:
        async with cancel_scope(token):
            return await awaitable
    finally:
        del awaitable


class cancel_scope:  # noqa: N801  (lower case like asyncio.timeout: it reads as a verb)
    """`async with cancel_scope(token):` — the block is stopped at its next await once `token` is cancelled.

    `OperationCanceledError` comes out of the block when the block's own cleanup is done. On a token already cancelled
    it is raised at once, and the block does not begin. A block that ends without another await ends well.

    It works like `asyncio.timeout`, and nests with it and with task groups either way round. A real cancel of the task
    wins. Use each scope once, inside a task. Do not `yield` inside it: the cancel would hit the code that takes the
    item.

    .NET has no such block, because there every call takes the token. This one reaches code that takes none.
    anyio: https://anyio.readthedocs.io/en/stable/cancellation.html
    """

    def __init__(self, token: CancellationToken) -> None:
        _check_token(token)
        self._token = token
        self._task: asyncio.Task[Any] | None = None
        self._entered = False
        self._interrupted = False
        self._patience = 2  # how often to come again later, at most

    def __repr__(self) -> str:
        state = "in use" if self._task is not None else "left" if self._entered else "not entered"
        return f"<cancel_scope {state}, {self._token!r}>"

    async def __aenter__(self) -> Self:
        import asyncio

        if self._entered:
            raise RuntimeError("this cancel_scope has been entered before; make a new one for each block")
        loop = running_loop("cancel_scope")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError(
                "cancel_scope works only inside a task, and asyncio.current_task() is None here. nest_asyncio makes it "
                "so on Python 3.14: nest-asyncio2 takes its place"
            )
        self._token.throw_if_cancellation_requested()
        self._entered, self._task = True, task
        self._canceled_before = task.cancelling()
        _wake_when_canceled(self._token, self._stop, loop)
        return self

    def _stop(self) -> None:
        task = self._task
        if not self._token._canceled or task is None:  # the source was disposed; or the block left
            return
        if self._patience and not _is_between_steps(task):
            self._patience -= 1
            loop = task.get_loop()
            loop.call_soon(loop.call_soon, self._stop)  # two turns: a `gather` has its result one after its last part
        else:
            self._interrupted = task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        import asyncio

        assert self._task is not None
        task, self._task = self._task, None
        self._token._remove_waiter(self._stop)
        if self._interrupted and task.uncancel() <= self._canceled_before and kind is asyncio.CancelledError:
            canceled = OperationCanceledError(None, self._token)
            if error is not None and error.__cause__ is not None:
                # `run_to_end` and `to_thread` raise the cancel from it. A reason that is an error hides the context.
                canceled.add_note(f"While it stopped: {in_words(error.__cause__, repr)}")
            try:
                raise canceled
            finally:
                del canceled, error  # a traceback keeps this frame, which must not keep the error


async def _until_canceled(stream: AsyncIterable[T], token: CancellationToken) -> AsyncGenerator[T, None]:
    iterator = aiter(stream)
    try:
        while True:
            token.throw_if_cancellation_requested()
            try:
                item = await run_until_canceled(anext(iterator), token)
            except StopAsyncIteration:
                return
            yield item
    finally:
        if (close := getattr(iterator, "aclose", None)) is not None:
            await close()


def until_canceled(stream: AsyncIterable[T], token: CancellationToken) -> AsyncGenerator[T, None]:
    """The items of `stream`, until `token` is cancelled: then `OperationCanceledError`, also while the next is awaited.

        async for word in until_canceled(model.answer(question), token):
            print(word)

    The stream is closed before the error is raised, if it has `aclose` as an async generator does. It is also closed
    when its items have ended, and when this generator is closed: if you may leave the loop early, use
    `contextlib.aclosing`. On a token already cancelled no item is taken. Only in asyncio. `TypeError` if `token` is
    not a token, or `stream` not an async iterable.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.tasks.taskasyncenumerableextensions.withcancellation
    """
    _check_token(token)
    if not isinstance(stream, AsyncIterable):
        raise TypeError(f"stream must be an async iterable, not {stream!r}")
    return _until_canceled(stream, token)


def _is_between_steps(task: asyncio.Task[Any]) -> bool:
    """Whether a cancel of `task` can only hit the await that it is in, and loses no result.

    The cancel may come from within the task, or from one that it awaits: a task that is cancelled while it runs keeps
    the request, and it hits what is awaited after the block. And a task may have been handed a result, and only wait
    for its turn: cancelled now, it would lose it (https://github.com/python/cpython/issues/86296).
    """
    import asyncio

    awaited: asyncio.Future[Any] | None = task
    while isinstance(awaited, asyncio.Task):
        coroutine = awaited.get_coro()  # Python 3.11 wraps other awaitables in a generator
        if getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False):
            return False
        awaited = getattr(awaited, "_fut_waiter", None)
        if awaited is not None and awaited.done() and not awaited.cancelled():
            return False
    # Another kind of future (of a `gather`, say) hands the cancel on: to the task that runs now, perhaps, or to one
    # that has a result.
    return awaited is None or type(awaited) is asyncio.Future


def _wake_when_canceled(token: CancellationToken, wake: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    if token is not CancellationToken.none:  # which lives for ever, and would keep a task that waits on a dead loop
        token._add_waiter(wake, loop)


def _check_token(token: object) -> None:
    if not isinstance(token, CancellationToken):
        raise TypeError(f"token must be a CancellationToken, not {token!r}")
