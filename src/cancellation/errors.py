"""The two errors of this package: "you were asked to stop", and "you used what is already put away"."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from cancellation.token import CancellationToken


class ObjectDisposedError(RuntimeError):
    """You used a disposed `CancellationTokenSource`, or waited on its token.

    .NET: https://learn.microsoft.com/dotnet/api/system.objectdisposedexception
    """


class OperationCanceledError(Exception):
    """The work was asked to stop, and did.

    Raise it to leave cancelled work; catch it where you know what a cancelled piece of work means. It is an
    ordinary `Exception`, not an `asyncio.CancelledError`: task groups and timeouts treat it like any other error of
    the work, never as a cancel of their own.

    `message`: the text; by default it says that the operation was canceled, and why.
    `token`: the token that was cancelled; `CancellationToken.none` where no token is known.
    `reason`: what was given to `cancel`; a reason that is an exception is also the `__cause__`.

    You can copy and pickle it. After pickling, its token is a constant one, cancelled or not, and a reason that cannot
    be pickled arrives as its text. `TypeError` if `message` is not text.

    .NET: https://learn.microsoft.com/dotnet/api/system.operationcanceledexception
    """

    def __init__(self, message: str | None = None, token: CancellationToken | None = None) -> None:
        if token is None:
            from cancellation.token import CancellationToken

            token = CancellationToken.none
        if message is not None and not isinstance(message, str):
            raise TypeError(
                f"message must be text or None, not {message!r}; a token comes second, as in "
                "OperationCanceledError(None, token)"
            )
        try:
            reason = token._reason
        except AttributeError:
            raise TypeError(f"token must be a CancellationToken, not {token!r}") from None
        self.token = token
        self.reason: object = reason
        if message is None:
            message = "The operation was canceled" + (f": {in_words(reason)}" if reason is not None else ".")
        self.args = (message,)  # what super().__init__(message) does, at half the price
        if isinstance(reason, BaseException):
            self.__cause__ = reason

    @property
    def origin(self) -> CancellationToken | None:
        """The token of the source where the cancel began: another than `token` if it came through a link.

        None if `token` is not cancelled.
        """
        return self.token.origin

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self), *self.args)
        vars(twin).update(vars(self))
        twin.__cause__, twin.__suppress_context__ = self.__cause__, self.__suppress_context__
        return twin

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()  # token and reason are what they are: a copy of them would mean nothing

    def __reduce__(self) -> tuple[Any, ...]:
        import pickle

        try:
            reason = pickle.dumps(self.reason)
        except Exception:  # pickle has no common error: TypeError, AttributeError, PicklingError …
            reason = b""
        canceled, words = self.token.is_cancellation_requested, in_words(self.reason)
        return type(self), self.args, {**vars(self), "token": canceled, "reason": (reason, words)}

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        import pickle

        from cancellation.token import CancellationToken

        assert state is not None
        reason, words = state["reason"]
        try:
            reason = pickle.loads(reason)
        except Exception:  # it could not be pickled, or cannot be made anew here
            reason = words
        vars(self).update(state, token=CancellationToken(state["token"]), reason=reason)
        if isinstance(self.reason, BaseException):
            self.__cause__ = self.reason


def in_words(thing: object, words: Callable[[object], str] = str) -> str:
    """The text of a reason or an error, for a log line. Never fails; an error without a text still has a name."""
    try:
        return words(thing) or repr(thing)
    except Exception:
        return f"<{type(thing).__name__}>"


def group(errors: list[BaseException]) -> BaseExceptionGroup[BaseException]:
    """What several callbacks raised, as one error with .NET's text. An `ExceptionGroup` if all are `Exception`s."""
    # Cut: in a deep tree each group's text would hold all those below it.
    texts = " ".join(f"({e.message if isinstance(e, BaseExceptionGroup) else in_words(e)})" for e in errors[:100])
    return BaseExceptionGroup(f"One or more errors occurred. {texts}"[:400], errors)


def raise_it(error: BaseException | None = None) -> None:
    """Raise `error`, if any, from a frame that does not keep it: the frame and its traceback would hold each other."""
    try:
        if error is not None:
            raise error
    finally:
        del error
