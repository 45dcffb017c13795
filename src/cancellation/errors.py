"""The two errors of this package: "you were asked to stop", and "you use what is already put away"."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cancellation.token import CancellationToken


class ObjectDisposedError(RuntimeError):
    """A disposed `CancellationTokenSource` was used, or waited for.

    .NET: https://learn.microsoft.com/dotnet/api/system.objectdisposedexception
    """


class OperationCanceledError(Exception):
    """The work was asked to stop, and did.

    Raise it to leave cancelled work; catch it where you know what a cancelled piece of work means.
    It is an ordinary `Exception`, not an `asyncio.CancelledError`: task groups and timeouts take it for
    a result of the work, never for a cancel of their own.

    `message`: the text; by default it says that the operation was canceled, and why.
    `token`: whose cancellation it was; `CancellationToken.none` where no token is known.
    A reason that is an exception is also the `__cause__`. It can be pickled: the token arrives as one
    that is just cancelled or not, a reason that cannot be pickled as its text.

    .NET: https://learn.microsoft.com/dotnet/api/system.operationcanceledexception
    """

    def __init__(self, message: str | None = None, token: CancellationToken | None = None) -> None:
        from cancellation.token import CancellationToken

        self.token: CancellationToken = CancellationToken.none if token is None else token
        self.reason: object = self.token.reason
        if message is None:
            message = "The operation was canceled."
            if self.reason is not None:
                message = f"The operation was canceled: {_in_words(self.reason)}"
        super().__init__(message)
        if isinstance(self.reason, BaseException):
            self.__cause__ = self.reason

    @property
    def origin(self) -> CancellationToken | None:
        """The token of the source that began it; not `token` itself where the cancel came through a link."""
        return self.token.origin

    def __reduce__(self) -> tuple[object, ...]:
        reason = self.reason
        try:
            pickle.dumps(reason)
        except Exception:  # pickle has no common error: TypeError, AttributeError, PicklingError …
            reason = _in_words(reason)
        return _unpickle, (type(self), self.args, self.token.is_cancellation_requested, reason)


def _in_words(reason: object) -> str:
    # An exception without a text still has a name: "canceled: TimeoutError" says more than "canceled: ".
    return str(reason) or type(reason).__name__


def _unpickle(
    kind: type[OperationCanceledError], args: tuple[object, ...], canceled: bool, reason: object
) -> OperationCanceledError:
    from cancellation.token import CancellationToken

    error = kind.__new__(kind, *args)
    Exception.__init__(error, *args)
    error.token = CancellationToken(canceled)
    error.reason = reason
    if isinstance(reason, BaseException):
        error.__cause__ = reason
    return error
