"""The source: the cancel button. The code that holds it cancels; the work gets only its token."""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from datetime import timedelta
from typing import Any, Self, final

from cancellation import tree
from cancellation.clock import TimeProvider, check_time_provider, to_seconds
from cancellation.deadline import Deadline, time_is_over
from cancellation.errors import ObjectDisposedError, raise_it
from cancellation.token import CancellationToken, CancellationTokenRegistration, new_token
from cancellation.wakeups import MISSING, wake_all


@final
class CancellationTokenSource:
    """Makes one token, and cancels it: by hand, by deadline, or because a linked token was cancelled.

    `delay`: cancel after so many seconds (or a `timedelta`); 0 at once; None never. `time_provider` is the clock for
    this and for `cancel_after`. `TypeError` or `ValueError` for a delay that is not a time.

    Leaving a `with` block disposes the source; it does not cancel it. Every member is safe in any thread, but `dispose`
    and `try_reset` are for the code that made the source. Every member is safe in signal handlers, except where it
    starts a thread: `cancel_async` does, and so does the first deadline of the process.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource
    """

    __slots__ = ("__weakref__", "_time_provider", "_token")

    def __init__(
        self, delay: float | timedelta | None = None, *, time_provider: TimeProvider = TimeProvider.system
    ) -> None:
        self._token = new_token()  # with it all state
        self._time_provider = time_provider
        if delay is not None or time_provider is not _SYSTEM:
            check_time_provider(time_provider)
            if delay is not None and to_seconds(delay) == 0:
                tree.mark(self._token, time_is_over(0), self._token)
            else:
                self.cancel_after(delay)

    @property
    def token(self) -> CancellationToken:
        """The token to pass on: always the same one. `ObjectDisposedError` after `dispose`."""
        if self._token._disposed:
            raise disposed()
        return self._token

    @property
    def is_cancellation_requested(self) -> bool:
        """True from the moment of the cancel; also after `dispose`."""
        return self._token._canceled

    def cancel(self, reason: object = None, *, throw_on_first_exception: bool = False) -> bool:
        """Cancel: mark this token and all linked below it, wake their waiters, then run their callbacks here.

        True if this call did it. A second cancel returns False at once, also while the first still runs
        callbacks; the first `reason` stays. `ObjectDisposedError` after `dispose`.

        If callbacks fail, the others still run. Then one `ExceptionGroup` is raised with the errors in the order in
        which the callbacks ran, one group inside another for each link. With `throw_on_first_exception` the first
        error is raised as it is, and no more callbacks run.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.cancel
        """
        token = self._token
        if token._disposed:
            raise disposed()
        if cancel_token(token, reason, throw_on_first_exception):
            return True
        if not token._canceled:  # it was disposed meanwhile
            raise disposed()
        return False

    def cancel_async(self, reason: object = None) -> CallbacksEnd:
        """Cancel now, run the callbacks on another thread. Await the result for their end and their errors.

        When it returns, the flag is set and the waiters are woken. It needs no running loop. Where Python cannot start
        a thread, the callbacks run before it returns. Do not call it in a signal handler, which must not start a
        thread: call `cancel` there.

        Each await of the result raises the callbacks' errors, or `ObjectDisposedError` after `dispose`. Errors that you
        never await go to `sys.unraisablehook`. You can give the result to `asyncio.create_task`.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.cancelasync
        """
        token = self._token
        marked = [] if token._disposed else tree.mark(token, reason, token)
        end = CallbacksEnd(None if marked or (token._canceled and not token._disposed) else disposed())
        try:
            try:
                wake_all(marked)
            finally:  # the error of a loop that cannot be woken costs no callback
                if any(one._callbacks for one in marked):
                    _run_elsewhere(end, marked)
                else:
                    end.run([])
            return end
        finally:
            del end  # the error of a callback that ran here keeps this frame, which must not keep the error

    def cancel_after(self, delay: float | timedelta | None) -> None:
        """Cancel `delay` seconds from now, with a `TimeoutError` as the reason. The last call wins; None disarms.

        Never cancels before it returns, not even with 0; does nothing once cancelled. The callbacks run on the
        clock's thread. `TypeError` or `ValueError` for a bad delay, then `ObjectDisposedError` after `dispose`.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.cancelafter
        """
        seconds = None if delay is None else to_seconds(delay)
        token = self._token
        if token._disposed:
            raise disposed()
        if seconds is None or token._canceled:
            self._set_deadline(None)
            return
        deadline = Deadline(seconds)
        if token._plain:
            tree.recount(token)
        # First, as the timer may fire before it is returned. The previous one is kept until there is a timer.
        previous = self._exchange_deadline(deadline)
        try:
            deadline.start(token, self._time_provider, cancel_token)
        except BaseException:
            with tree.lock:
                if token._deadline is deadline:  # no other was set meanwhile
                    token._deadline = previous
            raise
        if previous is not None:
            previous.dispose()
        if token._canceled or token._disposed:  # meanwhile
            self._set_deadline(None)

    def try_reset(self) -> bool:
        """Make a source that was not cancelled as good as new, to use it again: drop callbacks and deadline.

        True if that is done. False once cancelled, because a cancelled token stays cancelled. The token stays the same,
        and so do the links: call it only when no earlier work uses the token any more. `ObjectDisposedError` after
        `dispose`.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.tryreset
        """
        token = self._token
        if token._disposed:
            raise disposed()
        with tree.lock:  # a cancel of another thread, or a deadline that is firing, comes before this or after it
            deadline, token._deadline = token._deadline, None
            canceled = token._canceled  # looked at now: a signal handler may have come in before
            dropped = [
                entry
                for entry in ([] if canceled else list(token._callbacks))
                if isinstance(entry, CancellationTokenRegistration)
                and token._callbacks.pop(entry, MISSING) is not MISSING
            ]
        # Without the lock: a clock's timer may wait for one of its own, and the end of a callback for anything.
        if deadline is not None:
            deadline.dispose()
        for registration in dropped:
            registration._finish()
        token._settle()
        return not canceled

    def dispose(self) -> None:
        """Put the source away: leave the parents, drop deadline and callbacks. It does not cancel.

        Flags, equality and tokens taken before go on working; waiters get `ObjectDisposedError`. Where a
        parent's cancel is running this source's callbacks on another thread, it returns after them.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.dispose
        """
        token = self._token
        with tree.lock:
            if token._disposed:
                return
            token._disposed = True
            token._plain = False
        if token._deadline is not None:
            self._set_deadline(None)
        if token._links:
            for link in list(token._links):
                parent = link.parent()
                if token._canceled and parent is not None and link in parent._callbacks:
                    continue  # the cancel has still to pass through here, to those below
                if not tree.unlink(token, link) and parent is not None and (end := parent._end_of(link)) is not None:
                    end.wait()
        if token._callbacks and not token._canceled:  # else they are the canceler's, which drops those it does not run
            tree.drop_callbacks(token)
        if token._waiters:
            wake_all([token])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "a CancellationTokenSource cannot be pickled: its cancel would reach no token that was given out"
        )

    def __repr__(self) -> str:
        return f"<CancellationTokenSource of {self._token!r}>"

    @staticmethod
    def create_linked_token_source(
        *tokens: CancellationToken, time_provider: TimeProvider = TimeProvider.system
    ) -> CancellationTokenSource:
        """A source that is also cancelled when one of `tokens` is, with that one's reason and origin.

        Cancelling it never touches them. Dispose it, or just drop it: a parent keeps no trace of a child that nothing
        listens on, nor does a deadline keep it. `ValueError` without tokens, `TypeError` for what is not a token.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.createlinkedtokensource
        """
        if not tokens:
            raise ValueError("create_linked_token_source needs at least one token; got none")
        for parent in tokens:
            if not isinstance(parent, CancellationToken):
                raise TypeError(f"tokens must be CancellationTokens, not {parent!r}")
        source = CancellationTokenSource(time_provider=time_provider)
        child = source._token
        for parent in tokens if len(tokens) == 1 else dict.fromkeys(tokens):
            if parent._plain or not (parent._canceled or parent._disposed or parent is CancellationToken.none):
                tree.link(parent, child)
            if parent._canceled:  # before, or meanwhile
                tree.mark(child, parent._reason, parent._origin or parent)
                break
        return source

    def _set_deadline(self, deadline: Deadline | None) -> None:
        if (previous := self._exchange_deadline(deadline)) is not None:
            previous.dispose()

    def _exchange_deadline(self, deadline: Deadline | None) -> Deadline | None:
        token = self._token
        with tree.lock:
            previous, token._deadline = token._deadline, deadline  # no call in between: a signal handler may set one
        return previous


def cancel_token(
    token: CancellationToken,
    reason: object,
    throw_on_first_exception: bool = False,
    by_deadline: bool = False,
) -> bool:
    marked = tree.mark(token, reason, token, by_deadline)
    try:
        wake_all(marked)
    finally:  # the error of a loop that cannot be woken costs no callback
        if marked and token._callbacks:  # links to marked children are among these
            raise_it(tree.run_callbacks(marked, throw_on_first_exception))
    return bool(marked)


def _run_elsewhere(end: CallbacksEnd, marked: list[CancellationToken]) -> None:
    run = copy_context().run
    thread = threading.Thread(target=run, args=(end.run, marked), name="cancellation-callbacks")
    try:
        thread.start()
        started = True
    except RuntimeError:  # there is none to be had: better here than never
        started = False
    del thread  # one that was not started keeps its arguments
    if not started:
        try:
            run(end.run, marked)
        finally:
            del end


def disposed() -> ObjectDisposedError:
    return ObjectDisposedError(
        "This CancellationTokenSource has been disposed. Take its token, and cancel it, before dispose() "
        "or the end of its with block; for new work make a new source."
    )


@final
class CallbacksEnd(Coroutine[object, None, None]):
    """What `cancel_async` returns: await it for the end of the callbacks, and their errors, as often as you like.

    It is a coroutine, so that `asyncio.create_task` and a task group take it.
    """

    __slots__ = ("_awaited", "_end", "_error", "_steps")

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self._awaited = False
        self._end = new_token()
        self._steps: Generator[object, None, None] | None = None

    def run(self, marked: list[CancellationToken]) -> None:
        if marked:
            self._error = tree.run_callbacks(marked)
        self._end._signal()
        del self  # the error's traceback keeps this frame, which must not keep the error

    def __await__(self) -> Generator[object, None, None]:
        yield from self._end.wait_async().__await__()
        self._awaited = True
        raise_it(self._fresh_error())

    def _fresh_error(self) -> BaseException | None:
        # A new one for each await: its traceback keeps the frame that awaits, and that may well keep this object.
        error = self._error
        if isinstance(error, BaseExceptionGroup):
            return error.derive(error.exceptions)
        return disposed() if error is not None else None

    def _take_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    def send(self, value: None) -> object:
        return self._step("send", value)

    def throw(self, *error: Any) -> object:
        return self._step("throw", *error)

    def close(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _step(self, how: str, *what: Any) -> object:
        if self._steps is None:
            self._steps = self.__await__()
        try:
            return getattr(self._steps, how)(*what)
        except BaseException:  # this await is over, and the next one begins anew
            self._steps = None
            raise

    def __del__(self) -> None:
        if not self._awaited:
            raise_it(self._take_error())  # Python gives it to sys.unraisablehook


_SYSTEM = TimeProvider.system
