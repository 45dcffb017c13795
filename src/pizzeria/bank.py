"""The bank: the ledger as the services reach it. Each step is awaited, as the ledger may be on another machine."""

from __future__ import annotations

from typing import Protocol

from pizzeria.ledger import Entry, Ledger


class Bank(Protocol):
    """What the services ask of a ledger; see `Ledger` for the steps and their errors."""

    async def knows(self, order_id: str) -> bool:
        """Whether the order has been placed before, or undone before it came."""

    async def authorize(self, order_id: str, cents: int) -> Entry: ...

    async def capture(self, order_id: str) -> Entry: ...

    async def settle(self, order_id: str) -> Entry: ...

    async def undo(self, order_id: str) -> Entry | None: ...

    async def entries(self, order_id: str) -> list[Entry]:
        """What was done for the order, oldest first: by this call's steps, or by others'."""


class LedgerHere(Bank):
    """A ledger in this process. No step ever suspends, so that no cancel can come between two lines of a service."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def knows(self, order_id: str) -> bool:
        return self._ledger.knows(order_id)

    async def authorize(self, order_id: str, cents: int) -> Entry:
        return self._ledger.authorize(order_id, cents)

    async def capture(self, order_id: str) -> Entry:
        return self._ledger.capture(order_id)

    async def settle(self, order_id: str) -> Entry:
        return self._ledger.settle(order_id)

    async def undo(self, order_id: str) -> Entry | None:
        return self._ledger.undo(order_id)

    async def entries(self, order_id: str) -> list[Entry]:
        return self._ledger.entries(order_id)
