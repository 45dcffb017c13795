"""The token: the only part of a cancellation that running work gets to see. And a callback's registration on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from datetime import timedelta
from functools import partial
from threading import TIMEOUT_MAX, Lock, get_ident
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Never, Self, TypeVarTuple, final, overload
from weakref import ref

from cancellation import tree
from cancellation.clock import to_seconds
from cancellation.errors import ObjectDisposedError, OperationCanceledError, in_words
from cancellation.tree import Entry, Link
from cancellation.wakeups import MISSING, finish, running_loop, wake_all

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from cancellation.deadline import Deadline

# Not so in a browser: https://pyodide.org/en/stable/usage/wasm-constraints.html
HAS_THREADS = sys.platform != "wasi" and getattr(getattr(sys, "_emscripten_info", None), "pthreads", True)
Ts = TypeVarTuple("Ts")
# To a type checker, what `register` returns for a coroutine function: not a registration. At runtime: TypeError.
Refused = Coroutine[Any, Any, Never]
# Without it, links go in and out under the tree's lock only: https://docs.python.org/3/howto/free-threading-python.html
GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
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
        "_deadline",
        "_disposed",
        "_idle",
        "_links",
        "_origin",
        "_plain",
        "_reason",
        "_ref",
        "_runner",
        "_waiters",
    )

    none: ClassVar[CancellationToken]

    # The state of a source lives in its token, so that looking at it is one attribute, at any depth of links.
    _canceled: bool
    _disposed: bool
    _plain: bool  # not cancelled, disposed, linked, without a deadline, nor `none`: register looks at this alone
    _ref: ref[CancellationToken] | None  # one for all registrations and links; made when first needed, like all below
    _reason: object
    _origin: CancellationToken | None  # None: this token itself (a reference would keep it alive)
    # Callbacks and links to child tokens, oldest first. A link's value is its child while that is listened on.
    # The thread that takes an entry out with pop or popitem, one C call each, alone decides what becomes of it.
    _callbacks: dict[Link | CancellationTokenRegistration, CancellationToken | None]
    _idle: int  # how many of these are links to children that nothing listens on; not kept while it is plain
    _waiters: dict[Callable[[], object], AbstractEventLoop | None] | None  # what wakes one waiter; on which loop
    _links: dict[Link, CancellationToken | None] | None  # links to parents; see tree.py for the values
    _runner: int | None  # the thread that runs the callbacks
    _deadline: Deadline | None

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

    @overload
    def register(self, callback: Callable[[*Ts], None], *args: *Ts) -> CancellationTokenRegistration: ...
    @overload
    def register(self, callback: Callable[[*Ts], Coroutine[Any, Any, Any]], *args: *Ts) -> Refused: ...  # type: ignore[overload-overlap]
    @overload
    def register(self, callback: Callable[[*Ts], object], *args: *Ts) -> CancellationTokenRegistration: ...
    def register(self, callback: Callable[..., object], *args: object) -> object:
        """Have `callback(*args)` called at the cancel: once, newest first, on the cancelling thread.

        The callback gets no token but what you put in `args`, and sees the context variables of this call. Keep it
        short: `cancel()` waits for it. For a callback that belongs on an event loop, register
        `loop.call_soon_threadsafe` and give it the callback.

        On a token already cancelled it runs here and now, its error comes out of here, and the empty registration is
        returned. After the source's `dispose()` it is dropped. `TypeError` for what cannot be called, and for coroutine
        functions.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtoken.register
        """
        return self._register(callback, args, copy_context())

    @overload
    def unsafe_register(self, callback: Callable[[*Ts], None], *args: *Ts) -> CancellationTokenRegistration: ...
    @overload
    def unsafe_register(self, callback: Callable[[*Ts], Coroutine[Any, Any, Any]], *args: *Ts) -> Refused: ...  # type: ignore[overload-overlap]
    @overload
    def unsafe_register(self, callback: Callable[[*Ts], object], *args: *Ts) -> CancellationTokenRegistration: ...
    def unsafe_register(self, callback: Callable[..., object], *args: object) -> object:
        """Like `register`, but the callback sees the context variables of the code that cancels.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtoken.unsaferegister
        """
        return self._register(callback, args, None)

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Block this thread until the cancel, or for `timeout` seconds. Uses no CPU.

        True once cancelled, False when the time is over. `ObjectDisposedError` if the source is disposed first, because
        then no cancel can come. `TypeError` or `ValueError` for a time that is none. In asyncio code use `wait_async`:
        this call stops the whole event loop. In a browser, which has no other thread, it is a `RuntimeError`.

        .NET: https://learn.microsoft.com/dotnet/api/system.threading.waithandle.waitone
        """
        seconds = -1.0 if timeout is None else min(to_seconds(timeout, "timeout"), TIMEOUT_MAX)
        if not self._canceled:
            self._raise_if_disposed()
            if seconds and not HAS_THREADS:
                raise RuntimeError("wait would block the only thread there is, for ever: use await token.wait_async()")
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

    async def wait_async(self, timeout: float | timedelta | None = None) -> bool:
        """Await the cancel, from whatever thread it comes, or for `timeout` seconds: `wait` for asyncio.

        True once cancelled, False when the time is over. It does not raise at a cancel: for a sleep that raises
        `OperationCanceledError` use `delay`. Any number of tasks on any number of loops may wait. `ObjectDisposedError`
        if the source is disposed first, `TypeError` or `ValueError` for a time that is none, `RuntimeError` where no
        asyncio loop runs.
        """
        seconds = None if timeout is None else to_seconds(timeout, "timeout")
        if self._canceled:
            return True
        self._raise_if_disposed()
        loop = running_loop("wait_async")
        future = loop.create_future()
        wake = partial(finish, future, True)
        timer = None if seconds is None else loop.call_later(seconds, wake)
        self._add_waiter(wake, loop)
        try:
            await future
        finally:
            self._remove_waiter(wake)
            if timer is not None:
                timer.cancel()
        if not self._canceled:
            self._raise_if_disposed()
        return self._canceled

    def __repr__(self) -> str:
        if self is CancellationToken.none:
            return "<CancellationToken none>"
        state = "canceled" if self._canceled else "disposed" if self._disposed else "not canceled"
        return f"<CancellationToken {state}{f': {in_words(self._reason, repr)}' if self._reason is not None else ''}>"

    def __copy__(self) -> Self:
        return self  # as equal as any copy could be

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a CancellationToken cannot be pickled: it would never hear of a cancel in its old process")

    def _register(
        self, callback: Callable[..., object], args: tuple[object, ...], context: Context | None
    ) -> CancellationTokenRegistration:
        kind = type(callback)  # the common kinds first: this path is measured
        if kind is FunctionType:
            flags = callback.__code__.co_flags
        else:
            flags = 0 if kind is BuiltinFunctionType else _code_flags(callback)
        if flags & CO_ASYNC:
            raise TypeError(f"callback must not be a coroutine function: nobody would await it; got {callback!r}")
        if self._canceled:
            with tree.lock:  # all below it says so, too, before any callback runs
                pass
            callback(*args)
            return EMPTY
        registration = _new_registration()
        registration._token = self._ref or self._weak()
        registration._todo = callback
        registration._args = args
        registration._context = context
        self._callbacks[registration] = None
        if self._plain:
            return registration
        self._settle()
        if self._canceled or self._disposed or self is CancellationToken.none:  # the first two: meanwhile
            if self._callbacks.pop(registration, MISSING) is MISSING:
                return registration  # the canceler has taken it
            if self._canceled:
                with tree.lock:
                    pass
                callback(*args)
            return EMPTY
        return registration

    def _signal(self) -> None:
        """Cancel a token that only has waiters."""
        self._canceled = True
        wake_all([self])

    def _end_of(self, entry: Entry) -> CancellationToken | None:
        """A token that is cancelled once `entry`, which the canceling thread has taken, is over. None if it is over
        already, if a `dispose` has taken it, or if this is that thread: it would wait for itself."""
        if entry._todo is None or not self._canceled or self._runner == get_ident():
            return None
        end = tree.ends.setdefault(entry, new_token())
        if entry._todo is None:  # meanwhile
            tree.ended(entry)
        return end

    def _add_waiter(self, wake: Callable[[], object], loop: AbstractEventLoop | None) -> None:
        """Have `wake()` called, on `loop`, when the source is cancelled or disposed. It must not raise."""
        if self._waiters is None:
            with tree.lock:
                if self._waiters is None:
                    self._waiters = {}
        self._waiters[wake] = loop
        if not self._plain:
            self._settle()
        if self._canceled or self._disposed:  # meanwhile
            wake_all([self])

    def _remove_waiter(self, wake: Callable[[], object]) -> None:
        if self._waiters and self._waiters.pop(wake, MISSING) is not MISSING and not self._plain:
            self._settle()

    def _is_listened_on(self) -> bool:
        # In this order, between which no signal handler can come in, and link a child.
        return bool(self._waiters) or self._idle < len(self._callbacks)

    def _settle(self) -> None:
        """Call it after each change of the listeners."""
        if self._links or self._deadline is not None:
            tree.settle(self)

    def _weak(self) -> ref[CancellationToken]:
        if self._ref is None:
            self._ref = ref(self)
        return self._ref

    def _raise_if_disposed(self) -> None:
        if self._disposed:
            raise ObjectDisposedError(
                "The token's CancellationTokenSource has been disposed: it will never be canceled, so waiting "
                "for it would never end. Dispose a source only when the work it controls has ended."
            )


class _EmptyWhenCalled(type):
    def __call__(cls) -> CancellationTokenRegistration:
        return EMPTY


@final
class CancellationTokenRegistration(Entry, metaclass=_EmptyWhenCalled):
    """One `register` call. Take it back with `unregister` or `dispose`, or by leaving a `with` block.

    Thread-safe. It does not keep its token alive. The constructor gives the empty registration, for which there
    is nothing to do.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokenregistration
    """

    __slots__ = ("_args", "_context", "_todo", "_token")

    _token: ref[CancellationToken]
    _todo: Callable[..., object] | None
    _args: tuple[object, ...]
    _context: Context | None  # None: the canceler's

    @property
    def token(self) -> CancellationToken:
        """The token it was made on, as long as that is in use; `CancellationToken.none` for the empty one."""
        return self._token() or CancellationToken.none

    def unregister(self) -> bool:
        """True if the callback will now never run; never waits for one that runs."""
        token = self._token()
        if token is None:  # and nothing can cancel it any more
            prevented = self._todo is not None
            self._finish()
            return prevented
        if token._callbacks.pop(self, MISSING) is MISSING:
            return False
        self._todo = self._context = None  # _finish(), without the call: this path is measured
        self._args = ()
        if tree.ends:
            tree.ended(self)
        if not token._plain:
            token._settle()
        return True

    def dispose(self) -> None:
        """`unregister`, and if this very callback is running on another thread, wait for its end."""
        if (end := self._end()) is not None:
            end.wait()

    async def dispose_async(self) -> None:
        """`dispose` without blocking the event loop."""
        if (end := self._end()) is not None:
            await end.wait_async()

    def _end(self) -> CancellationToken | None:
        token = self._token()
        return None if self.unregister() or token is None else token._end_of(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def __repr__(self) -> str:
        state = "over" if self._todo is None else f"of {self._todo!r}"
        return f"<CancellationTokenRegistration {state}>"

    def _run(self) -> BaseException | None:
        # The error is returned, not raised: the code that collects errors must not be a frame in their tracebacks.
        callback = self._todo
        assert callback is not None
        try:
            if self._context is None:
                callback(*self._args)
            else:
                self._context.run(callback, *self._args)
        except BaseException as error:
            return error
        finally:
            self._finish()
        return None

    def _finish(self) -> None:
        self._args, self._context = (), None
        super()._finish()


def _code_flags(function: Callable[..., object]) -> int:
    """Of a method, `functools.partial` or object with `__call__`; `TypeError` for what cannot be called."""
    if not callable(function):
        raise TypeError(f"callback must be callable, not {function!r}")
    while isinstance(function, partial):
        function = function.func
    for code in getattr(function, "__code__", None), getattr(type(function).__call__, "__code__", None):
        if isinstance(code, CodeType):  # a proxy for something far away has every attribute
            return code.co_flags
    return 0


def new_token() -> CancellationToken:
    token = object.__new__(CancellationToken)
    token._canceled = token._disposed = False
    token._plain = GIL
    token._reason = token._origin = token._deadline = token._runner = token._waiters = token._links = token._ref = None
    token._callbacks = {}
    token._idle = 0
    return token


CancellationToken.none = new_token()
CancellationToken.none._plain = False
_CANCELED = new_token()
_CANCELED._canceled = True

# What calling a class does without that metaclass; quicker than object.__new__ and any __new__ of our own.
_new_registration: Callable[[], CancellationTokenRegistration] = type.__call__.__get__(CancellationTokenRegistration)
EMPTY = _new_registration()
EMPTY._token = CancellationToken.none._weak()
EMPTY._finish()
