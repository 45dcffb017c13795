"""The money, in SQLite: who was charged, and whether it went back.

    authorize ──► capture ──► settle      the courier has it: the money stays
         │            └─────► refund      it goes back
         └──────────► void                it was never taken

Every step is one row, written in a transaction of its own. An order ends once, in settle, refund or void. An order
that is undone before it was authorized has no steps; the ledger remembers it, and refuses to authorize it later.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from os import PathLike, fspath
from types import TracebackType
from typing import NamedTuple, Self

from cancellation import CancellationToken

# A table a phase, each with at most one row an order: SQLite itself sees to it that an order is authorized, captured
# and ended once. New rows come at a table's end, where SQLite writes them fastest. The view shows them as one list.
_LEDGER = int.from_bytes(b"oven", "big")  # by this number SQLite's file tells that it is one of ours
_SCHEMA = f"""
BEGIN;
CREATE TABLE authorized (
    order_number INTEGER PRIMARY KEY,  -- the number of the order's first entry
    order_id TEXT NOT NULL UNIQUE,
    cents INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE captured (
    order_number INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,  -- all entries are numbered in the order of their arrival
    at REAL NOT NULL
);
CREATE TABLE ended (
    order_number INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    step TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE VIEW entries AS
    SELECT order_number, order_number AS number, order_id, 'authorize' AS step, cents, at FROM authorized
    UNION ALL
    SELECT order_number, number, order_id, 'capture', cents, captured.at
    FROM captured JOIN authorized USING (order_number)
    UNION ALL
    SELECT order_number, number, order_id, step, cents, ended.at
    FROM ended JOIN authorized USING (order_number);
PRAGMA application_id = {_LEDGER};
COMMIT;
"""
# The tombstones: orders whose undo overtook their payment. They are no entries, as no money ever moved. Files from
# before there were any get the table when they are opened.
_TOMBSTONES = """
BEGIN;
CREATE TABLE IF NOT EXISTS undone_before (
    order_id TEXT PRIMARY KEY,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS refuse_undone_before BEFORE INSERT ON authorized
WHEN EXISTS (SELECT 1 FROM undone_before WHERE order_id = NEW.order_id)
BEGIN
    SELECT RAISE(ABORT, 'the order was undone before');
END;
COMMIT;
"""
_UNDO_BEFORE = """
INSERT OR IGNORE INTO undone_before
SELECT :order_id, :at WHERE NOT EXISTS (SELECT 1 FROM authorized WHERE order_id = :order_id)
"""
_KNOWS = """
SELECT EXISTS (SELECT 1 FROM authorized WHERE order_id = :order_id)
    OR EXISTS (SELECT 1 FROM undone_before WHERE order_id = :order_id)
"""
# A statement a step: a word in the statement costs less than one bound to it, ten thousand times in one cancel.
_STEPS = {
    "capture": "INSERT INTO captured VALUES (?, ?, ?)",
    **{step: f"INSERT INTO ended VALUES (?, ?, '{step}', ?)" for step in ("settle", "refund", "void")},
}
_OPEN = """
SELECT order_number, order_id, cents, captured.number IS NOT NULL
FROM authorized LEFT JOIN captured USING (order_number) LEFT JOIN ended USING (order_number)
WHERE ended.number IS NULL
"""
_REPORT = """
WITH orders AS (
    SELECT order_number AS first, order_id,
           sum(CASE step WHEN 'capture' THEN cents WHEN 'refund' THEN -cents ELSE 0 END) AS kept
    FROM entries GROUP BY order_number
)
SELECT one.order_id, one.kept, (SELECT sum(kept) FROM orders AS earlier WHERE earlier.first <= one.first)
FROM orders AS one ORDER BY one.first
"""


class LedgerError(RuntimeError):
    """The ledger refuses a step, or cannot be opened.

    `refused`: the step. If that is "authorize", the call has reserved nothing: what the ledger has of the order is
    another call's, and is not to be undone by this one. None where no step was refused.
    """

    def __init__(self, message: str, refused: str | None = None) -> None:
        super().__init__(message)
        self.refused = refused


UNDOING = ("void", "refund")  # the steps after which nothing is kept

_Values = tuple[str, ...] | dict[str, str | float]  # for the places of a question

_MOST = 10**12  # cents of one order: so that sums stay far below what SQLite can hold


class Entry(NamedTuple):
    """One step of one order; `at` is seconds since 1970."""

    order_id: str
    step: str
    cents: int
    at: float


# Entry(...) without a call in Python: thousands are made when one cancel undoes thousands of orders.
_entry: Callable[[tuple[str, str, int, float]], Entry] = partial(tuple.__new__, Entry)


class _Sale(NamedTuple):
    order_number: int
    cents: int
    captured: bool


class Ledger:
    """`path`: a file, or ":memory:" for one that ends with this object. Amounts are whole cents. Thread-safe.

    Opening a file puts right what a killed program left: orders that had not been handed over are voided or
    refunded, and `repaired` lists these entries. One process at a time can have a file open: `LedgerError`.
    (Do not read the file by other means in that process: with that, the system gives up SQLite's hold on it.)
    """

    def __init__(self, path: str | PathLike[str] = ":memory:") -> None:
        if not fspath(path):
            raise ValueError(f"path must name a file, or be ':memory:', not {path!r}")
        self._lock = threading.RLock()
        self._dropped = False
        self._open: dict[str, _Sale] = {}  # by order id: those not ended
        try:
            self._database = sqlite3.connect(fspath(path), isolation_level=None, check_same_thread=False, timeout=0)
            try:
                self._set_up(in_memory=fspath(path) == ":memory:")
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise LedgerError(
                f"cannot open the ledger {fspath(path)!r}: {error}. Look whether its folder exists and lets you write, "
                f"whether another kernel or another Ledger has it open (close() that one first), and whether it is a "
                f"ledger at all (if it is something else, name another file)."
            ) from error

    def _set_up(self, *, in_memory: bool) -> None:
        # Exclusive: a second process would take the first one's running orders for leftovers, and refund them.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        if self._one("PRAGMA application_id") != _LEDGER:
            if self._one("SELECT count(*) FROM sqlite_master"):
                raise sqlite3.DatabaseError("it holds something else")
            self._database.executescript(_SCHEMA)
        self._database.executescript(_TOMBSTONES)
        # A journal brings a file back to a whole after a crash; what is in memory does not outlive one.
        self._database.execute(f"PRAGMA journal_mode = {'OFF' if in_memory else 'WAL'}")
        self._database.execute("PRAGMA synchronous = NORMAL")  # safe when the process dies, which is our case
        self._cursor = self._database.cursor()  # writes; one for all, as a cursor costs nearly as much as a row
        self._numbers = itertools.count(self._one("SELECT coalesce(max(number), 0) + 1 FROM entries"))
        self.repaired = self._repair()

    def authorize(self, order_id: str, cents: int) -> Entry:
        """Reserve the money. `LedgerError` for an order that the ledger knows, also if it only knows its `undo`.

        `ValueError` unless `cents` is a whole number from 1 to a million million.
        """
        _check_order_id(order_id)
        if not isinstance(cents, int) or isinstance(cents, bool) or cents <= 0:
            raise ValueError(f"cents must be a whole number above 0, not {cents!r}")
        if cents > _MOST:
            raise ValueError(f"cents must be at most {_MOST}, not {cents!r}")
        with self._lock:
            number, at = next(self._numbers), time.time()
            try:
                self._cursor.execute("INSERT INTO authorized VALUES (?, ?, ?, ?)", (number, order_id, cents, at))
                self._open[order_id] = _Sale(number, cents, captured=False)
            except sqlite3.IntegrityError as error:
                raise self._refusal(order_id, "authorize", "first") from error
            except BaseException:
                self._reread(order_id)
                raise
            return _entry((order_id, "authorize", cents, at))

    def capture(self, order_id: str) -> Entry:
        """Take the reserved money."""
        with self._lock:
            sale = self._sale(order_id, "capture", captured=False)
            return self._step(order_id, "capture", sale, sale._replace(captured=True))

    def void(self, order_id: str) -> Entry:
        """Give up the reservation."""
        with self._lock:
            return self._step(order_id, "void", self._sale(order_id, "void", captured=False))

    def refund(self, order_id: str) -> Entry:
        """Give the taken money back."""
        with self._lock:
            return self._step(order_id, "refund", self._sale(order_id, "refund", captured=True))

    def settle(self, order_id: str) -> Entry:
        """The order has left the house: its money stays."""
        with self._lock:
            return self._step(order_id, "settle", self._sale(order_id, "settle", captured=True))

    def undo(self, order_id: str) -> Entry | None:
        """Void or refund, whichever is due; None if nothing is: the order has ended, or was never authorized.

        An order that was never authorized never will be: its undo may have overtaken its payment, so `authorize`
        refuses it from now on, also after the file was closed and opened again.
        """
        with self._lock:
            if self._dropped:
                return None
            sale = self._open.get(order_id)
            if sale is not None:
                return self._step(order_id, "refund" if sale.captured else "void", sale)
            _check_order_id(order_id)
            self._ask(_UNDO_BEFORE, {"order_id": order_id, "at": time.time()})
            return None

    def knows(self, order_id: str) -> bool:
        """Whether the order was authorized, or undone before it could be: then `authorize` refuses it."""
        _check_order_id(order_id)
        with self._lock:
            return bool(self._one(_KNOWS, {"order_id": order_id}))

    def entries(self, order_id: str | None = None) -> list[Entry]:
        """All entries, or one order's, oldest first."""
        with self._lock:
            if self._dropped:
                return []
            return [Entry(*row) for row in self._select("order_id, step, cents, at", order_id, "ORDER BY number")]

    def charged(self, order_id: str | None = None) -> int:
        """Cents taken, whether or not they went back."""
        return self._total("capture", order_id)

    def refunded(self, order_id: str | None = None) -> int:
        """Cents given back."""
        return self._total("refund", order_id)

    def kept(self, order_id: str | None = None) -> int:
        """Cents taken and not given back."""
        with self._lock:  # no step of another thread comes between the two
            return self.charged(order_id) - self.refunded(order_id)

    def report(self, token: CancellationToken = CancellationToken.none) -> list[tuple[str, int, int]]:
        """What was kept of each order, and what was kept of all up to it: (order id, cents, cents so far).

        A slow query, on purpose: twice the orders take four times as long. It blocks its thread, and nobody
        else. `token` stops it in the middle through SQLite's own interrupt: `OperationCanceledError`.
        """
        if not isinstance(token, CancellationToken):
            raise TypeError(f"token must be a CancellationToken, not {token!r}")
        token.throw_if_cancellation_requested()
        snapshot = sqlite3.connect(":memory:", check_same_thread=False)
        with closing(snapshot), token.register(snapshot.interrupt):
            with self._lock, _closed_in_words():
                self._database.backup(snapshot)
            # An interrupt is lost if it comes before the query has begun; this looks every 10,000 steps of it.
            snapshot.set_progress_handler(lambda: token.is_cancellation_requested, 10_000)
            try:
                return snapshot.execute(_REPORT).fetchall()
            except sqlite3.OperationalError:
                token.throw_if_cancellation_requested()
                raise

    def close(self) -> None:
        """Close the file. What is in memory is gone. Any later step is a `LedgerError`."""
        with self._lock:
            with suppress(sqlite3.ProgrammingError):  # closed before
                self._cursor.close()  # one whose last step was refused would keep the file locked
            self._database.close()

    def __del__(self) -> None:
        if hasattr(self, "_database"):
            self._dropped = True  # an order that is dropped with it has nothing to undo here: the next opening repairs
            self._database.close()  # Python 3.13 warns of a database that nobody closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _sale(self, order_id: str, step: str, *, captured: bool) -> _Sale:
        sale = self._open.get(order_id)
        if sale is None or sale.captured is not captured:
            raise self._refusal(order_id, step, f"right after {'capture' if captured else 'authorize'}")
        return sale

    def _step(self, order_id: str, step: str, sale: _Sale, then: _Sale | None = None) -> Entry:
        """`then`: the sale as it is afterwards; None if this ends it."""
        at = time.time()
        try:
            self._cursor.execute(_STEPS[step], (sale.order_number, next(self._numbers), at))
            if then is None:
                del self._open[order_id]
            else:
                self._open[order_id] = then
        except BaseException:
            self._reread(order_id)
            raise
        return _entry((order_id, step, sale.cents, at))

    def _reread(self, order_id: str) -> None:
        """A step was interrupted, by Ctrl-C say, and perhaps between its two halves. What counts is in the database."""
        row = self._ask(f"{_OPEN} AND order_id = ?", (order_id,)).fetchone()
        if row is None:
            self._open.pop(order_id, None)
        else:
            number, _, cents, captured = row
            self._open[order_id] = _Sale(number, cents, bool(captured))

    def _refusal(self, order_id: str, step: str, place: str) -> LedgerError:
        _check_order_id(order_id)
        entries = self.entries(order_id)
        if not entries and self.knows(order_id):
            return LedgerError(f"cannot {step} order {order_id}: it was undone before it was paid for", step)
        done = ", ".join(entry.step for entry in entries) or "nothing"
        return LedgerError(f"cannot {step} order {order_id}: {step} comes {place}, and done for it is: {done}", step)

    def _total(self, step: str, order_id: str | None) -> int:
        with self._lock:
            total: int = self._select(f"coalesce(sum(cents) FILTER (WHERE step = '{step}'), 0)", order_id).fetchone()[0]
            return total

    def _select(self, columns: str, order_id: str | None, order: str = "") -> sqlite3.Cursor:
        # Two queries: one for both would read the whole table for the sake of one order.
        where, of = ("true", ()) if order_id is None else ("order_id = ?", (order_id,))
        return self._ask(f"SELECT {columns} FROM entries WHERE {where} {order}", of)

    def _one(self, question: str, values: _Values = ()) -> int:
        number: int = self._ask(question, values).fetchone()[0]
        return number

    def _ask(self, question: str, values: _Values = ()) -> sqlite3.Cursor:
        with _closed_in_words():
            return self._database.execute(question, values)

    def _repair(self) -> list[Entry]:
        for number, order_id, cents, captured in self._ask(f"{_OPEN} ORDER BY order_number"):
            self._open[order_id] = _Sale(number, cents, bool(captured))
        return [undone for order_id in list(self._open) if (undone := self.undo(order_id)) is not None]


def _check_order_id(order_id: object) -> None:
    if not isinstance(order_id, str):
        raise TypeError(f"order_id must be text, not {order_id!r}")


@contextmanager
def _closed_in_words() -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise LedgerError(f"this ledger was closed: open its file once more with Ledger(path). ({error})") from error
