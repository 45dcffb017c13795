"""The registration: one callback on a token, and the way to take it back."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, final
from weakref import ref

from cancellation.tree import DROPPED, OVER, Entry, ended, ends, stop_listening
from cancellation.wakeups import MISSING

if TYPE_CHECKING:
    from cancellation.token import CancellationToken

Call: TypeAlias = tuple[Callable[..., object], tuple[object, ...], Context | None]  # no context: the canceler's


@final
class CancellationTokenRegistration(Entry):
    """One `register` call, to take it back: by `unregister`, by `dispose`, or by leaving a `with` block.

    Thread-safe. It does not keep its token alive. The constructor gives the empty registration, for which there
    is nothing to do.

    .NET: https://learn.microsoft.com/dotnet/api/system.threading.cancellationtokenregistration
    """

    __slots__ = ("_token",)

    _token: ref[CancellationToken]
    todo: tuple[()] | Call | None

    def __new__(cls) -> CancellationTokenRegistration:
        from cancellation.token import EMPTY

        return EMPTY

    @property
    def token(self) -> CancellationToken:
        """The token it was made on, as long as that is in use; `CancellationToken.none` for the empty one."""
        from cancellation.token import CancellationToken

        return self._token() or CancellationToken.none

    def unregister(self) -> bool:
        """True if the callback will now never run; never waits for one that runs."""
        token = self._token()
        if token is not None and token._callbacks.pop(self, MISSING) is not MISSING:
            self.todo = OVER  # finish(OVER), without the call: this path is measured
            if ends:
                ended(self)
            if token._links:
                stop_listening(token)
            return True
        dropped = self.todo == DROPPED
        if dropped:
            self.todo = OVER
        return dropped

    def dispose(self) -> None:
        """`unregister`, and if this very callback is running on another thread, wait for its end."""
        token = self._token()
        if not self.unregister() and token is not None and (end := token._end_of(self)) is not None:
            end.wait()

    async def dispose_async(self) -> None:
        """`dispose` without blocking the event loop."""
        token = self._token()
        if not self.unregister() and token is not None and (end := token._end_of(self)) is not None:
            await end.wait_async()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.dispose()

    def run(self) -> BaseException | None:
        # The error is returned, not raised: the frame that collects errors must not be in their tracebacks.
        assert self.todo
        function, args, context = self.todo
        try:
            if context is None:
                function(*args)
            else:
                context.run(function, *args)
        except BaseException as error:
            return error
        finally:
            self.finish(OVER)
        return None
