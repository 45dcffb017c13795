"""The money, in SQLite: who was charged, and whether it went back.

    authorize ──► capture ──► settle      the courier has it: the money stays
         │            └─────► refund      it goes back
         └──────────► void                it was never taken

Every step is one row, written in a transaction of its own. An order ends once, in settle, refund or void.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from os import PathLike, fspath
from types import TracebackType
from typing import NamedTuple, Self

from cancellation import CancellationToken

# An order has one row a phase: SQLite itself sees to it that it is authorized, captured and ended once.
# The rows of an order lie together, in the order of arrival; random ids as the key would cost twice the time.
_PHASE = {"authorize": 1, "capture": 2, "settle": 3, "refund": 3, "void": 3}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    order_number INTEGER NOT NULL,  -- the number of the order's first entry
    phase INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    step TEXT NOT NULL,
    cents INTEGER NOT NULL,
    at REAL NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (order_number, phase)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS orders ON entries (order_id) WHERE phase = 1;
"""
_OF_ORDER = "order_number = (SELECT order_number FROM entries WHERE phase = 1 AND order_id = ?)"
_OPEN = """
SELECT order_number, order_id, step, cents, at FROM entries AS last
WHERE phase = (SELECT max(phase) FROM entries WHERE order_number = last.order_number) AND phase < 3
ORDER BY order_number
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
_NOTHING = (0, None)  # is open of an order that has ended, or was never authorized
_COMES_AFTER = {"capture": "authorize", "void": "authorize", "refund": "capture", "settle": "capture"}


class LedgerError(RuntimeError):
    """The ledger refuses a step, or cannot be opened."""


class Entry(NamedTuple):
    """One step of one order; `at` is seconds since 1970."""

    order_id: str
    step: str
    cents: int
    at: float


class Ledger:
    """`path`: a file, or ":memory:" for one that ends with this object. Amounts are whole cents. Thread-safe.

    Opening a file puts right what a killed program left: orders that had not been handed over are voided or
    refunded, and `repaired` lists these entries. One process at a time can have a file open: `LedgerError`.
    """

    def __init__(self, path: str | PathLike[str] = ":memory:") -> None:
        self._lock = threading.RLock()
        self._open: dict[str, tuple[int, Entry]] = {}  # of each order not ended: its number, and its last entry
        self._database = sqlite3.connect(fspath(path), isolation_level=None, check_same_thread=False, timeout=0)
        try:
            # Exclusive: a second process would take the first one's running orders for leftovers, and refund them.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            # A journal brings a file back to a whole after a crash; what is in memory does not outlive one.
            self._database.execute(f"PRAGMA journal_mode = {'OFF' if fspath(path) == ':memory:' else 'WAL'}")
            self._database.execute("PRAGMA synchronous = NORMAL")  # safe when the process dies, which is our case
            self._database.executescript(_SCHEMA)
            self._numbers = itertools.count(self._database.execute("SELECT count(*) FROM entries").fetchone()[0])
            self.repaired = self._repair()
        except sqlite3.Error as error:
            self._database.close()
            raise LedgerError(
                f"cannot open the ledger {fspath(path)!r}: {error}. If another kernel or another Ledger has it "
                f"open, close() that one first."
            ) from error

    def authorize(self, order_id: str, cents: int) -> Entry:
        """Reserve the money. `ValueError` unless `cents` is a whole number above 0."""
        if not isinstance(cents, int) or isinstance(cents, bool) or cents <= 0:
            raise ValueError(f"cents must be a whole number above 0, not {cents!r}")
        with self._lock:
            return self._write(order_id, "authorize", cents)

    def capture(self, order_id: str) -> Entry:
        """Take the reserved money."""
        return self._follow(order_id, "capture")

    def void(self, order_id: str) -> Entry:
        """Give up the reservation."""
        return self._follow(order_id, "void")

    def refund(self, order_id: str) -> Entry:
        """Give the taken money back."""
        return self._follow(order_id, "refund")

    def settle(self, order_id: str) -> Entry:
        """The order has left the house: its money stays."""
        return self._follow(order_id, "settle")

    def undo(self, order_id: str) -> Entry | None:
        """Void or refund, whichever is due; None if nothing is (never authorized, or ended already)."""
        with self._lock:
            number, last = self._open.get(order_id, _NOTHING)
            if last is None:
                return None
            return self._write(order_id, "refund" if last.step == "capture" else "void", last.cents, number)

    def entries(self, order_id: str | None = None) -> list[Entry]:
        """All entries, or one order's, oldest first."""
        with self._lock:
            return [Entry(*row) for row in self._select("order_id, step, cents, at", order_id, "ORDER BY number")]

    def charged(self, order_id: str | None = None) -> int:
        """Cents taken, whether or not they went back."""
        return self._total("capture", order_id)

    def refunded(self, order_id: str | None = None) -> int:
        """Cents given back."""
        return self._total("refund", order_id)

    def kept(self, order_id: str | None = None) -> int:
        """Cents taken and not given back."""
        return self.charged(order_id) - self.refunded(order_id)

    def report(self, token: CancellationToken = CancellationToken.none) -> list[tuple[str, int, int]]:
        """What was kept of each order, and what was kept of all up to it: (order id, cents, cents so far).

        A slow query, on purpose: twice the orders take four times as long. It blocks its thread, and nobody
        else. `token` stops it in the middle through SQLite's own interrupt: `OperationCanceledError`.
        """
        token.throw_if_cancellation_requested()
        with sqlite3.connect(":memory:", check_same_thread=False) as snapshot, token.register(snapshot.interrupt):
            with self._lock:
                self._database.backup(snapshot)
            # An interrupt is lost if it comes before the query has begun; this looks every 10,000 steps of it.
            snapshot.set_progress_handler(lambda: token.is_cancellation_requested, 10_000)
            try:
                return snapshot.execute(_REPORT).fetchall()
            except sqlite3.OperationalError:
                token.throw_if_cancellation_requested()
                raise

    def close(self) -> None:
        """Close the file. What is in memory is gone."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self, order_id: str, step: str) -> Entry:
        with self._lock:
            number, last = self._open.get(order_id, _NOTHING)
            if last is None or last.step != _COMES_AFTER[step]:
                raise self._refusal(order_id, step)
            return self._write(order_id, step, last.cents, number)

    def _write(self, order_id: str, step: str, cents: int, order_number: int | None = None) -> Entry:
        entry = Entry(order_id, step, cents, time.time())
        phase, number = _PHASE[step], next(self._numbers)
        if order_number is None:
            order_number = number
        try:
            self._database.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
                (order_number, phase, order_id, step, cents, entry.at, number),
            )
        except sqlite3.IntegrityError as error:
            raise self._refusal(order_id, step) from error
        if phase < 3:
            self._open[order_id] = order_number, entry
        else:
            del self._open[order_id]
        return entry

    def _refusal(self, order_id: str, step: str) -> LedgerError:
        done = ", ".join(entry.step for entry in self.entries(order_id)) or "nothing"
        place = f"right after {_COMES_AFTER[step]}" if step in _COMES_AFTER else "first"
        return LedgerError(f"cannot {step} order {order_id}: {step} comes {place}, and done for it is: {done}")

    def _total(self, step: str, order_id: str | None) -> int:
        with self._lock:
            total: int = self._select(f"coalesce(sum(cents) FILTER (WHERE step = '{step}'), 0)", order_id).fetchone()[0]
            return total

    def _select(self, columns: str, order_id: str | None, order: str = "") -> sqlite3.Cursor:
        # Two queries: one for both would read the whole table for the sake of one order.
        where, of = ("true", ()) if order_id is None else (_OF_ORDER, (order_id,))
        return self._database.execute(f"SELECT {columns} FROM entries WHERE {where} {order}", of)

    def _repair(self) -> list[Entry]:
        for number, *entry in self._database.execute(_OPEN):
            self._open[entry[0]] = number, Entry(*entry)
        return [undone for order_id in list(self._open) if (undone := self.undo(order_id)) is not None]
