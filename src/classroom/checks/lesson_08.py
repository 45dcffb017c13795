"""Checks of lesson 08, Money and cleanup."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Self

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from classroom.verdict import Verdict, not_yet, outcome_of, well_done

_ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + row_done() FROM n) SELECT count(*) FROM n"
_CANCEL_AT = 1_000  # rows
_GIVE_UP_AT = 300_000  # rows: some tenths of a second


def check_due(due: Callable[[list[str]], object]) -> Verdict:
    """The step that undoes an order."""
    for steps, expected in (
        (["authorize"], "void"),
        (["authorize", "capture"], "refund"),
        (["authorize", "capture", "settle"], None),
        (["authorize", "capture", "refund"], None),
        (["authorize", "void"], None),
        ([], None),
    ):
        try:
            answer = due(list(steps))
        except Exception as error:
            return not_yet(f"for the steps {steps} it raised {error!r}.")
        if answer != expected:
            return not_yet(f"for the steps {steps} it should return {expected!r}, but returned {answer!r}.")
    return well_done("What was set aside is voided, what was taken is refunded, and what has ended is left alone.")


class _Bank:
    """Writes down what was done, looks at each token, and lets the customer or a failure in at a chosen step."""

    def __init__(
        self, cancel_at: str | None = None, fail_at: str | None = None, failure: type[BaseException] = RuntimeError
    ) -> None:
        self.source = CancellationTokenSource()
        self.done: list[str] = []
        self._cancel_at = cancel_at
        self._fail_at = fail_at
        self._failure = failure

    async def step(self, name: str, token: CancellationToken) -> None:
        token.throw_if_cancellation_requested()
        if name == self._cancel_at:
            self.source.cancel()
        if name == self._fail_at:
            raise self._failure(f"{name} failed")
        token.throw_if_cancellation_requested()
        self.done.append(name)

    async def authorize(self, token: CancellationToken) -> None:
        await self.step("authorize", token)

    async def capture(self, token: CancellationToken) -> None:
        await self.step("capture", token)

    async def undo(self, token: CancellationToken) -> None:
        await self.step("undo", token)

    async def cook(self, token: CancellationToken) -> str:
        await self.step("cook", token)
        return "pizza"


PayAndCook = Callable[[_Bank, Callable[[CancellationToken], Awaitable[str]], CancellationToken], Awaitable[object]]


async def check_pay_and_cook(pay_and_cook: PayAndCook) -> Verdict:
    """A payment that is undone whatever goes wrong behind it."""
    paid = ["authorize", "capture", "cook"]
    for bank, expected, error, words in (
        (_Bank(), paid, None, "when nothing goes wrong"),
        (_Bank(cancel_at="cook"), ["authorize", "capture", "undo"], OperationCanceledError, "cancelled in the kitchen"),
        (_Bank(fail_at="cook"), ["authorize", "capture", "undo"], RuntimeError, "when the oven breaks"),
        (
            _Bank(fail_at="cook", failure=asyncio.CancelledError),
            ["authorize", "capture", "undo"],
            asyncio.CancelledError,
            "when its whole task is cancelled",
        ),
        (_Bank(cancel_at="capture"), ["authorize", "undo"], OperationCanceledError, "cancelled during the capture"),
        (_Bank(cancel_at="authorize"), [], OperationCanceledError, "cancelled before the money is authorized"),
    ):
        outcome = await outcome_of(pay_and_cook, bank, bank.cook, bank.source.token)
        if bank.done != expected:
            hint = ""
            if "undo" in expected and "undo" not in bank.done:
                hint = " The payment is not undone: was `undo` called, and with which token?"
            return not_yet(f"{words} the bank should have done {expected}, but did {bank.done}.{hint}")
        if error is None and (outcome.error is not None or outcome.result != "pizza"):
            return not_yet(f"{words}, it should return 'pizza', but {_seen(outcome.error, outcome.result)}.")
        if error is not None and not isinstance(outcome.error, error):
            return not_yet(f"{words}, the error is to pass, but it {_seen(outcome.error, outcome.result)}.")
    return well_done("Cancelled or broken, at whatever step: the payment is undone once, and the caller knows.")


def _seen(error: BaseException | None, result: object) -> str:
    return f"raised {error!r}" if error is not None else f"returned {result!r}"


FirstRow = Callable[[sqlite3.Connection, str, CancellationToken], object]


def check_first_row(first_row: FirstRow) -> Verdict:
    """A query that a token stops, and a connection that is good afterwards."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    late = sqlite3.connect(":memory:", check_same_thread=False, factory=_LateConnection)
    try:
        return _check_first_row(first_row, connection, late)
    finally:
        connection.close()
        late.close()


class _LateConnection(sqlite3.Connection):
    """Cancels when a query is about to begin: too late for a look in front of it, too early for an interrupt."""

    source: CancellationTokenSource
    executed = False

    def cursor(self, factory: type[sqlite3.Cursor] | None = None) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(_LateCursor)

    def execute(self, question: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self.cursor().execute(question, parameters)


class _LateCursor(sqlite3.Cursor):
    def execute(self, question: str, parameters: Any = (), /) -> Self:
        assert isinstance(self.connection, _LateConnection)
        self.connection.executed = True
        self.connection.source.cancel()
        return super().execute(question, parameters)


def _check_first_row(first_row: FirstRow, connection: sqlite3.Connection, late: _LateConnection) -> Verdict:
    source = CancellationTokenSource()
    try:
        answer = first_row(connection, "SELECT 6 * 7", source.token)
    except Exception as error:
        return not_yet(f"asked for 6 * 7, with a token that nobody cancels, it raised {error!r}.")
    if answer != (42,):
        return not_yet(f"asked for 6 * 7 it should return the row (42,), but returned {answer!r}.")
    try:
        first_row(connection, "SELECT nothing FROM nowhere", source.token)
    except sqlite3.OperationalError:
        pass
    except Exception as error:
        return not_yet(f"asked about a table that does not exist it raised {error!r}: that was no cancel.")

    rows, raised = _cancelled(first_row, connection, source, at_row=_CANCEL_AT)
    if rows > _GIVE_UP_AT:
        return not_yet("its token was cancelled in the middle of an endless query, and the query went on.")
    if not isinstance(raised, OperationCanceledError):
        return not_yet(f"cancelled in the middle of a query it {_seen(raised, None)}, not an OperationCanceledError.")

    later = CancellationTokenSource()
    try:
        if first_row(connection, "SELECT 6 * 7", later.token) != (42,):
            return not_yet("after a cancelled query the connection does not answer any more.")
        interrupted = _is_interrupted_by(later, connection)
    except Exception as error:
        return not_yet(f"after a cancelled query it raised {error!r} for the next, whose token nobody had cancelled.")
    if interrupted:
        return not_yet(
            "a token cancelled after its answer had come stopped somebody else's query. Take back what you set."
        )

    rows, raised = _cancelled(first_row, connection, source, at_row=None)
    if rows > _GIVE_UP_AT:
        return not_yet(
            "its token was cancelled before the query began, and the query went on: an interrupt that comes too early "
            "is lost. What closes the gap?"
        )
    if not isinstance(raised, OperationCanceledError):
        return not_yet(f"cancelled before the query it {_seen(raised, None)}, not an OperationCanceledError.")

    late.source = CancellationTokenSource()
    rows, raised = _cancelled(first_row, late, late.source, at_row=None)
    if late.executed and rows > _GIVE_UP_AT:
        return not_yet(
            "its token was cancelled in the last moment before the query began, and the query went on. That was too "
            "late for a look in front of it, and too early for an interrupt. Who looks at the token while it runs?"
        )
    if late.executed and not isinstance(raised, OperationCanceledError):
        return not_yet(
            f"cancelled in the last moment before the query, it {_seen(raised, None)}, not an OperationCanceledError."
        )
    return well_done("The query stops, the caller knows why, and the connection is good for the next question.")


def _cancelled(
    first_row: FirstRow, connection: sqlite3.Connection, source: CancellationTokenSource, at_row: int | None
) -> tuple[int, BaseException | None]:
    """The rows of an endless query, cancelled at one of them or before, and what was raised.

    No thread, no clock: rows count.
    """
    row = 0

    def row_done() -> int:
        nonlocal row
        row += 1
        if row == at_row:
            source.cancel()
        if row > _GIVE_UP_AT:
            raise RuntimeError("it goes on")
        return 1

    connection.create_function("row_done", 0, row_done)
    try:
        first_row(connection, _ROWS, source.token)
    except Exception as error:
        return row, error
    return row, None


def _is_interrupted_by(source: CancellationTokenSource, connection: sqlite3.Connection) -> bool:
    """Whether a cancel stops a query of somebody else, who knows nothing of tokens."""
    connection.create_function("rest", 0, source.cancel)
    try:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT rest() UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT count(*) FROM n"
        ).fetchall()
    except sqlite3.OperationalError:
        return True
    return False
