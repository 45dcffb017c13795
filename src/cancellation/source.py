"""The source: the cancel button. Who holds it cancels; what runs gets only its token."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import Self, final

from cancellation import tree
from cancellation.clock import TimeProvider, Timer, check_time_provider, to_seconds
from cancellation.errors import ObjectDisposedError, raise_it
from cancellation.token import CancellationToken, CancellationTokenRegistration, new_token
from cancellation.wakeups import wake_all


@final
class CancellationTokenSource:
    """Makes one token, and cancels it: by hand, by deadline, or because a linked token was cancelled.

    `delay`: cancel after so many seconds (or a `timedelta`); 0 at once; None never. `time_provider` gives the
    time for this and for `cancel_after`. `TypeError` or `ValueError` for a delay that is not a time.

    Leaving a `with` block disposes the source; it does not cancel it. Every member is safe in any thread and in
    signal handlers; `dispose` and `try_reset` belong to the one who made the source.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource
    """

    __slots__ = ("__weakref__", "_made", "_time_provider")

    def __init__(
        self, delay: float | timedelta | None = None, *, time_provider: TimeProvider = TimeProvider.system
    ) -> None:
        self._made: CancellationToken | None = None  # the token, and with it all state, comes when first needed
        self._time_provider = time_provider
        if delay is not None or time_provider is not _SYSTEM:
            check_time_provider(time_provider)
            if delay is not None and to_seconds(delay) == 0:
                tree.mark(self._token, _time_is_over(0), self._token)
            else:
                self.cancel_after(delay)

    @property
    def token(self) -> CancellationToken:
        """The token to pass on: always the same one. `ObjectDisposedError` after `dispose`."""
        self._raise_if_disposed()
        return self._token

    @property
    def is_cancellation_requested(self) -> bool:
        """True from the moment of the cancel; also after `dispose`."""
        return self._made is not None and self._made._canceled

    def cancel(self, reason: object = None, *, throw_on_first_exception: bool = False) -> bool:
        """Cancel: mark this token and all linked below it, wake their waiters, then run their callbacks here.

        True if this call did it. A second cancel returns False at once, also while the first still runs
        callbacks; the first `reason` stays. When callbacks fail, the others run all the same, and one
        `ExceptionGroup` with the errors in run order comes out, nested once a link; with
        `throw_on_first_exception` the first error comes out bare and no more callbacks run.
        `ObjectDisposedError` after `dispose`.
        """
        self._raise_if_disposed()
        return cancel_token(self._token, reason, throw_on_first_exception)

    def cancel_async(self, reason: object = None) -> CallbacksEnd:
        """Cancel now, run the callbacks on another thread. Await the result for their end and their errors.

        Needs no running loop. The flag is set and waiters are woken when it returns. After `dispose` the
        `ObjectDisposedError` comes out of the await. The callbacks' errors come out of the first await; those that
        nobody awaits go to `sys.unraisablehook`. Not for signal handlers, which must not start a thread: `cancel` is.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.cancelasync
        """
        try:
            self._raise_if_disposed()
        except ObjectDisposedError as error:
            marked, end = [], CallbacksEnd(error.with_traceback(None))
        else:
            marked, end = tree.mark(self._token, reason, self._token), CallbacksEnd()
        if any(token._callbacks for token in marked):
            run = copy_context().run
            try:
                threading.Thread(target=run, args=(end.run, marked), name="cancellation-callbacks").start()
            except RuntimeError:  # there is no thread to be had: better here than never
                run(end.run, marked)
        else:
            end.run([])
        return end

    def cancel_after(self, delay: float | timedelta | None) -> None:
        """Cancel `delay` seconds from now, with a `TimeoutError` as the reason. The last call wins; None disarms.

        Never cancels before it returns, not even with 0; does nothing once cancelled. The callbacks run on the
        clock's thread. `TypeError` or `ValueError` for a bad delay, then `ObjectDisposedError` after `dispose`.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.cancelafter
        """
        seconds = None if delay is None else to_seconds(delay)
        self._raise_if_disposed()
        token = self._token
        if seconds is None or token._canceled:
            self._set_deadline(None)
            return
        deadline = Deadline()
        self._set_deadline(deadline)  # first: the timer may fire before it is returned
        fire = partial(cancel_token, token, _time_is_over(seconds), False, deadline)
        deadline.start(self._time_provider.create_timer(fire, seconds))
        if token._canceled or token._disposed:  # meanwhile
            self._set_deadline(None)

    def try_reset(self) -> bool:
        """Make an uncancelled source as good as new: True. Drops callbacks and the deadline, keeps links and token.

        False once cancelled: a cancelled token stays cancelled. Only for one who knows that nobody uses the
        token any more. `ObjectDisposedError` after `dispose`.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.tryreset
        """
        self._raise_if_disposed()
        token = self._token
        with tree.lock:  # a cancel of another thread, or a deadline that is firing, comes before this or after it
            if token._canceled:
                return False
            self._set_deadline(None)
            for entry in list(token._callbacks):
                if isinstance(entry, CancellationTokenRegistration):
                    entry.unregister()
        return True

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
        self._set_deadline(None)
        for link in list(token._links):
            parent = link.parent()
            if token._canceled and parent is not None and link in parent._callbacks:
                continue  # the cancel has still to pass through here, to those below
            if not tree.unlink(token, link) and parent is not None and (end := parent._end_of(link)) is not None:
                end.wait()
        if not token._canceled:  # else they belong to the canceler, who drops those that he did not come to
            tree.drop_callbacks(token)
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

        Cancelling it never touches them. Dispose it, or just forget it: a parent keeps no trace of a child that
        nobody listens on. (A deadline that is still to come keeps it until then: dispose that one.) `ValueError`
        without tokens, `TypeError` for what is not a token.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokensource.createlinkedtokensource
        """
        if not tokens:
            raise ValueError("create_linked_token_source needs at least one token; got none")
        for token in tokens:
            if not isinstance(token, CancellationToken):
                raise TypeError(f"tokens must be CancellationTokens, not {token!r}")
        source = CancellationTokenSource(time_provider=time_provider)
        child = source._token
        for parent in dict.fromkeys(tokens):
            if parent.can_be_canceled and not parent._canceled and not parent._disposed:
                tree.link(parent, child)
        for parent in tokens:
            if parent._canceled:  # before, or meanwhile
                tree.mark(child, parent._reason, parent._origin or parent)
        if child._canceled:  # the cancel may have come before the last link was made
            tree.leave_live_parents(child)
        return source

    @property
    def _token(self) -> CancellationToken:
        if self._made is None:
            token = new_token()
            with tree.lock:
                if self._made is None:  # no other thread, nor a signal handler in this one, was quicker
                    self._made = token
        return self._made

    def _set_deadline(self, deadline: Deadline | None) -> None:
        token = self._token
        with tree.lock:
            previous, token._deadline = token._deadline, deadline  # no call in between: a signal handler may set one
        if previous is not None:
            previous.dispose()

    def _raise_if_disposed(self) -> None:
        if self._made is not None and self._made._disposed:
            raise ObjectDisposedError(
                "This CancellationTokenSource has been disposed. Take its token, and cancel it, before dispose() "
                "or the end of its with block; for new work make a new source."
            )


def cancel_token(
    token: CancellationToken,
    reason: object,
    throw_on_first_exception: bool = False,
    deadline: Deadline | None = None,
) -> bool:
    marked = tree.mark(token, reason, token, deadline)
    if marked:
        raise_it(tree.run_callbacks(marked, throw_on_first_exception))
    return bool(marked)


class Deadline:
    """A token's time limit, and the timer that will tell. Only the one that the token has now can cancel it."""

    __slots__ = ("_over", "timer")

    def __init__(self) -> None:
        self._over = False
        self.timer: Timer | None = None

    def start(self, timer: Timer) -> None:
        self.timer = timer
        if self._over:  # meanwhile
            self.dispose()

    def dispose(self) -> None:
        self._over = True
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.dispose()


@final
class CallbacksEnd:
    """What `cancel_async` returns: await it for the end of the callbacks. Their errors come out of the first await."""

    __slots__ = ("_end", "_error")

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self._end = new_token()

    def run(self, marked: list[CancellationToken]) -> None:
        if marked:
            self._error = tree.run_callbacks(marked)
        self._end._signal()
        del self  # the error's traceback keeps this frame, which must not keep the error

    def __await__(self) -> Generator[object, None, None]:
        yield from self._end.wait_async().__await__()
        raise_it(self._take_error())

    def _take_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    def __del__(self) -> None:
        raise_it(self._take_error())  # nobody awaited it: Python gives it to sys.unraisablehook


def _time_is_over(seconds: float) -> TimeoutError:
    return TimeoutError(f"deadline of {seconds:g} s passed")


_SYSTEM = TimeProvider.system
