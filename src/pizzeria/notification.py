"""The notification service: tells the customer."""

from __future__ import annotations

from cancellation import CancellationToken
from pizzeria.clock import Clock
from pizzeria.events import EventStream, MessageSent
from pizzeria.order import Order

PAUSE = 0.2  # seconds until the message is out


class Notification:
    def __init__(self, clock: Clock, events: EventStream) -> None:
        self._clock = clock
        self._events = events

    async def notify_customer(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> None:
        """Send the message. Stopped by `token`, it was not sent."""
        await self._clock.at(pace).pause(PAUSE, token)
        self._events.publish(MessageSent(order, self._clock.now, line="🛵 Your order is on its way"))
