"""The money, in SQLite: who was charged, and whether it went back.

    authorize ──► capture ──► settle      the courier has it: the money stays
         │            └─────► refund      it goes back
         └──────────► void                it was never taken

Every step is one row and one transaction. An order ends once, in settle, refund or void.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from types import TracebackType
from typing import Self

from cancellation import CancellationToken

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('authorize', 'capture', 'void', 'refund', 'settle')),
    cents INTEGER NOT NULL CHECK (typeof(cents) = 'integer' AND cents > 0),
    at REAL NOT NULL,
    UNIQUE (order_id, step)
);
CREATE UNIQUE INDEX IF NOT EXISTS an_order_ends_once
    ON entries (order_id) WHERE step IN ('void', 'refund', 'settle');
"""
_REPORT = """
WITH orders AS (
    SELECT min(id) AS first, order_id,
           sum(CASE step WHEN 'capture' THEN cents WHEN 'refund' THEN -cents ELSE 0 END) AS kept
    FROM entries GROUP BY order_id
)
SELECT one.order_id, one.kept, (SELECT sum(kept) FROM orders AS earlier WHERE earlier.first <= one.first)
FROM orders AS one ORDER BY one.first
"""
_COMES_AFTER = {"capture": "authorize", "void": "authorize", "refund": "capture", "settle": "capture"}


class LedgerError(RuntimeError):
    """The ledger refuses a step, or cannot be opened."""


@dataclass(frozen=True, slots=True)
class Entry:
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
        self._database = sqlite3.connect(fspath(path), isolation_level=None, check_same_thread=False, timeout=0)
        try:
            # Exclusive: a second process would take the first one's running orders for leftovers, and refund them.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")  # safe when the process dies, which is our case
            self._database.executescript(_SCHEMA)
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
        with self._transaction():
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
        with self._transaction():
            steps = self._steps(order_id)
            if not steps or not steps.keys().isdisjoint(("void", "refund", "settle")):
                return None
            return self._write(order_id, "refund" if "capture" in steps else "void", steps["authorize"])

    def entries(self, order_id: str | None = None) -> list[Entry]:
        """All entries, or one order's, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT order_id, step, cents, at FROM entries WHERE ?1 IS NULL OR order_id = ?1 ORDER BY id",
                (order_id,),
            )
            return [Entry(*row) for row in rows]

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
        with self._transaction():
            steps = self._steps(order_id)
            if _COMES_AFTER[step] not in steps:
                raise LedgerError(f"cannot {step} order {order_id}: there is no {_COMES_AFTER[step]} before it")
            if step == "void" and "capture" in steps:
                raise LedgerError(f"cannot void order {order_id}: its money has been captured, refund it")
            if step == "capture" and "void" in steps:
                raise LedgerError(f"cannot capture order {order_id}: its authorization was voided")
            return self._write(order_id, step, steps["authorize"])

    def _write(self, order_id: str, step: str, cents: int) -> Entry:
        entry = Entry(order_id, step, cents, time.time())
        try:
            self._database.execute(
                "INSERT INTO entries (order_id, step, cents, at) VALUES (?, ?, ?, ?)", (order_id, step, cents, entry.at)
            )
        except sqlite3.IntegrityError as error:
            done = ", ".join(self._steps(order_id)) or "nothing"
            raise LedgerError(f"cannot {step} order {order_id}: already done for it: {done}") from error
        return entry

    def _steps(self, order_id: str) -> dict[str, int]:
        return dict(self._database.execute("SELECT step, cents FROM entries WHERE order_id = ?", (order_id,)))

    def _total(self, step: str, order_id: str | None) -> int:
        with self._lock:
            total: int = self._database.execute(
                "SELECT coalesce(sum(cents), 0) FROM entries WHERE step = ?1 AND (?2 IS NULL OR order_id = ?2)",
                (step, order_id),
            ).fetchone()[0]
            return total

    def _repair(self) -> list[Entry]:
        unfinished = self._database.execute(
            "SELECT order_id FROM entries GROUP BY order_id"
            " HAVING sum(step IN ('void', 'refund', 'settle')) = 0 ORDER BY min(id)"
        ).fetchall()
        return [entry for (order_id,) in unfinished if (entry := self.undo(order_id)) is not None]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
