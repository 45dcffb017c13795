"""Tells readers that an order's cancel was requested, whether or not a service listens to the token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from cancellation import CancellationToken
from pizzeria.clock import Clock
from pizzeria.events import CancelRequested, EventStream
from pizzeria.order import FINAL
from pizzeria.receipt import Receipt


class CancelWatch:
    """Watches the tokens of the orders under way. Use it on the event loop's thread; cancel on any."""

    def __init__(self, clock: Clock, events: EventStream) -> None:
        self._clock = clock
        self._events = events
        self._by_token: dict[CancellationToken, _Watched] = {}
        self._by_order: dict[str, _Watched] = {}

    def begin(self, receipt: Receipt, token: CancellationToken) -> None:
        """Watch `token` for an order, until `end`."""
        watched = self._by_token.get(token)
        if watched is None:
            watched = self._by_token[token] = _Watched(token, self._clock, self._events)
        watched.receipts[receipt.order.id] = receipt
        self._by_order[receipt.order.id] = watched

    def look(self, receipt: Receipt) -> None:
        """Tell now if the order's token was cancelled: before it was placed, or a moment ago on another thread."""
        watched = self._by_order[receipt.order.id]
        if watched.token.is_cancellation_requested:
            watched.tell([receipt])

    def end(self, receipt: Receipt) -> None:
        watched = self._by_order.pop(receipt.order.id)
        del watched.receipts[receipt.order.id]
        if not watched.receipts:
            watched.registration.unregister()
            del self._by_token[watched.token]


class _Watched:
    """A token, and its orders: one registration for all, as thousands may share a token."""

    def __init__(self, token: CancellationToken, clock: Clock, events: EventStream) -> None:
        self.token = token
        self.receipts: dict[str, Receipt] = {}
        self._clock = clock
        self._events = events
        self._loop = asyncio.get_running_loop()
        self.registration = token.unsafe_register(self._canceled)  # no context variables are read there

    def _canceled(self) -> None:
        if asyncio._get_running_loop() is self._loop:
            self.tell(list(self.receipts.values()))
        else:  # on the canceler's thread; readers live on the loop
            with suppress(RuntimeError):  # a closed loop: nobody is left there to be told
                self._loop.call_soon_threadsafe(self._canceled)

    def tell(self, receipts: Iterable[Receipt]) -> None:
        now, reason = self._clock.now, self.token.reason
        for receipt in receipts:
            if not receipt.cancel_requested and receipt.status not in FINAL:
                self._events.publish(CancelRequested(receipt.order, now, reason))
