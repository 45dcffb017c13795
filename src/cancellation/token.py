"""The token: the only part of a cancellation that running work gets to see."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from datetime import timedelta
from functools import partial
from threading import TIMEOUT_MAX, Lock, get_ident
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, ClassVar, final
from weakref import ref

from cancellation import tree
from cancellation.clock import Timer, to_seconds
from cancellation.errors import ObjectDisposedError, OperationCanceledError
from cancellation.registration import CancellationTokenRegistration
from cancellation.tree import OVER, Entry, Link
from cancellation.wakeups import MISSING, finish, wake_all

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

CO_ASYNC = 0x80 | 0x200  # inspect's CO_COROUTINE and CO_ASYNC_GENERATOR; importing inspect costs more than all of this


@final
class CancellationToken:
    """A cancel button's other end: work that was given one looks at it, waits on it, or registers a callback.

    A token only signals. It comes from `CancellationTokenSource.token`; the source's holder cancels. The
    constructor gives the two constant tokens: one never cancelled (`CancellationToken.none`), one cancelled for
    good. Tokens are equal when they come from one source, hashable, and always true: ask
    `is_cancellation_requested`, never `if token`. Every member is safe in any thread and in signal handlers.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtoken
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_canceled",
        "_deaf",
        "_disposed",
        "_links",
        "_listeners",
        "_origin",
        "_reason",
        "_ref",
        "_runner",
        "_timer",
        "_waiters",
    )

    none: ClassVar[CancellationToken]

    # The state of a source lives in its token, so that looking at it is one attribute, at any depth of links.
    _canceled: bool
    _disposed: bool
    _deaf: bool  # keeps no callbacks: disposed, or `none`
    _ref: ref[CancellationToken]  # one for all registrations
    _reason: object
    _origin: CancellationToken | None  # None: this token itself (a reference would keep it alive)
    # Callbacks and links to child tokens, oldest first. A link's value is its child while that is listened on.
    # Whoever takes an entry out with pop or popitem, one C call each, alone decides what becomes of it.
    _callbacks: dict[Entry, CancellationToken | None]
    _waiters: dict[Callable[[], object], AbstractEventLoop | None]  # what wakes one waiter; on which loop
    _links: dict[Link, CancellationToken | None]  # links to parents; see tree.py for the values
    _listeners: int  # callbacks, waiters and listened-on children; kept only where there are parents
    _runner: int | None  # the thread that runs the callbacks
    _timer: Timer | None

    def __new__(cls, canceled: bool = False) -> CancellationToken:
        return _CANCELED if canceled else cls.none

    @property
    def is_cancellation_requested(self) -> bool:
        """True from the moment of the cancel, for ever."""
        return self._canceled

    @property
    def can_be_canceled(self) -> bool:
        """False only for `CancellationToken.none`."""
        return self is not CancellationToken.none

    @property
    def reason(self) -> object:
        """What the first `cancel(reason)` said, the same object through every link; for a deadline a `TimeoutError`."""
        return self._reason

    @property
    def origin(self) -> CancellationToken | None:
        """The token of the source whose cancel began it; None while not cancelled."""
        return (self._origin or self) if self._canceled else None

    def throw_if_cancellation_requested(self) -> None:
        """Raise a new `OperationCanceledError` with this token if cancellation was requested; else do nothing."""
        if self._canceled:
            raise OperationCanceledError(None, self)

    def register(
        self, callback: Callable[..., object], *args: object, _context: Callable[[], Context | None] = copy_context
    ) -> CancellationTokenRegistration:
        """Have `callback(*args)` called at the cancel: once, newest first, on the cancelling thread.

        It sees the context variables of this call. Keep it short: `cancel()` waits for it. On a token already
        cancelled it runs here and now, its error comes out of here, and the empty registration is returned; after
        the source's `dispose()` it is dropped. `TypeError` for what cannot be called, and for coroutine functions.
        """
        code = getattr(callback, "__code__", None)
        if (_inner_flags(callback) if code is None else code.co_flags) & CO_ASYNC:
            raise TypeError(f"callback must not be a coroutine function: nobody would await it; got {callback!r}")
        if self._canceled:
            callback(*args)
            return EMPTY
        registration = _new_registration(CancellationTokenRegistration)
        registration._token = self._ref
        registration.todo = callback, args, _context()
        self._callbacks[registration] = None
        if self._links:
            tree.listen(self)
        if self._canceled or self._deaf:
            return self._registered_late(registration)
        return registration

    def unsafe_register(self, callback: Callable[..., object], *args: object) -> CancellationTokenRegistration:
        """Like `register`, but the callback sees the context variables of whoever cancels."""
        return self.register(callback, *args, _context=_no_context)

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Block this thread until the cancel: True; or for `timeout` seconds: False. Uses no CPU.

        `ObjectDisposedError` if the source is disposed first: nobody could cancel any more. In asyncio code
        use `wait_async`: this call stops the whole event loop.
        """
        seconds = -1.0 if timeout is None else min(to_seconds(timeout, "timeout"), TIMEOUT_MAX)
        if not self._canceled:
            self._raise_if_disposed()
            blocked = Lock()
            blocked.acquire()
            self._add_waiter(blocked.release, None)
            try:
                blocked.acquire(timeout=seconds)
            finally:
                self._remove_waiter(blocked.release)
            if not self._canceled:
                self._raise_if_disposed()
        return self._canceled

    async def wait_async(self) -> None:
        """Return once cancelled, from whatever thread; any number of tasks on any number of loops may wait.

        `ObjectDisposedError` if the source is disposed first.
        """
        if self._canceled:
            return
        self._raise_if_disposed()
        from asyncio import get_running_loop

        loop = get_running_loop()
        future = loop.create_future()
        wake = partial(finish, future, True)
        self._add_waiter(wake, loop)
        try:
            await future
        finally:
            self._remove_waiter(wake)
            del future, wake  # an error's traceback keeps this frame; the frame must not keep the error
        if not self._canceled:
            self._raise_if_disposed()

    def __repr__(self) -> str:
        if self is CancellationToken.none:
            return "<CancellationToken none>"
        state = "canceled" if self._canceled else "disposed" if self._disposed else "not canceled"
        return f"<CancellationToken {state}{f': {self._reason!r}' if self._reason is not None else ''}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a CancellationToken cannot be pickled: it would never hear of a cancel in its old process")

    def _registered_late(self, registration: CancellationTokenRegistration) -> CancellationTokenRegistration:
        """The source was cancelled or disposed meanwhile, or there is none."""
        todo = registration.todo
        if not registration.unregister():
            return registration  # the canceler has taken it
        if self._canceled and todo:
            todo[0](*todo[1])
        return EMPTY

    def _signal(self) -> None:
        """Cancel a token that only has waiters."""
        self._canceled = True
        wake_all([self])

    def _end_of(self, entry: Entry) -> CancellationToken | None:
        """A token that is cancelled when this entry, taken by the canceler, is over. None if there is nothing to
        wait for: it is over, or the caller is the canceler, who would wait for itself."""
        if not entry.todo or self._runner == get_ident():
            return None
        with tree.lock:
            end = tree.ends.setdefault(entry, new_token())
        if not entry.todo:  # meanwhile
            tree.ended(entry)
        return end

    def _add_waiter(self, wake: Callable[[], object], loop: AbstractEventLoop | None) -> None:
        """Have `wake()` called, on `loop`, when the source is cancelled or disposed. It must not raise."""
        self._waiters[wake] = loop
        if self._links:
            tree.listen(self)
        if self._canceled or self._disposed:  # meanwhile
            wake_all([self])

    def _remove_waiter(self, wake: Callable[[], object]) -> None:
        if self._waiters.pop(wake, MISSING) is not MISSING and self._links:
            tree.stop_listening(self)

    def _raise_if_disposed(self) -> None:
        if self._disposed:
            raise ObjectDisposedError(
                "The token's CancellationTokenSource has been disposed: it will never be canceled, so waiting "
                "for it would never end. Dispose a source only when the work it controls has ended."
            )


def _no_context() -> None:
    return None


def _inner_flags(function: Callable[..., object]) -> int:
    """The code flags behind a `functools.partial` or an object with `__call__`; `TypeError` for nothing to call."""
    if isinstance(function, BuiltinFunctionType):
        return 0
    if not callable(function):
        raise TypeError(f"callback must be callable, not {function!r}")
    code = getattr(getattr(function, "func", None) or type(function).__call__, "__code__", None)
    return code.co_flags if code is not None else 0


_new_registration = object.__new__


def new_token() -> CancellationToken:
    token = object.__new__(CancellationToken)
    token._canceled = token._disposed = token._deaf = False
    token._reason = token._origin = token._timer = token._runner = None
    token._callbacks = {}
    token._waiters = {}
    token._links = {}
    token._listeners = 0
    token._ref = ref(token)
    return token


CancellationToken.none = new_token()
CancellationToken.none._deaf = True
_CANCELED = new_token()
_CANCELED._canceled = True

EMPTY = _new_registration(CancellationTokenRegistration)
EMPTY._token = CancellationToken.none._ref
EMPTY.finish(OVER)
