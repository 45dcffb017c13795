"""The payment service: reserves the money, asks the bank a while, takes it."""

from __future__ import annotations

from cancellation import CancellationToken
from pizzeria.bank import Bank
from pizzeria.clock import Clock
from pizzeria.events import EventStream, Line, Money, Step
from pizzeria.ledger import Entry
from pizzeria.order import Order

CHECKS = 5
PAUSE = 0.5  # seconds between two checks


class Payment:
    def __init__(self, bank: Bank, clock: Clock, events: EventStream) -> None:
        self._bank = bank
        self._clock = clock
        self._events = events

    async def process_payment(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> None:
        """Charge the order's price. Stopped by `token`, it has reserved the money but not taken it."""
        clock = self._clock.at(pace)
        self._events.publish(Line(order, self._clock.now, line="💳 Processing payment..."))
        self._tell(order, await self._bank.authorize(order.id, order.cents))
        for check in range(1, CHECKS + 1):
            token.throw_if_cancellation_requested()
            self._events.publish(Step(order, self._clock.now, "payment", check, CHECKS, PAUSE * clock.pace))
            await clock.pause(PAUSE, token)
        self._tell(order, await self._bank.capture(order.id), "💰 Payment successful.")

    def _tell(self, order: Order, entry: Entry, line: str = "") -> None:
        self._events.publish(Money(order, self._clock.now, entry.step, entry.cents, line=line))
