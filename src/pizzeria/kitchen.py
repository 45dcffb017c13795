"""The kitchen service: few ovens, first come first served, and a meal cooked in steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cancellation import CancellationToken, cancel_scope
from pizzeria.clock import Clock
from pizzeria.events import EventStream, Line, Step
from pizzeria.order import Order

CHECKS = 10
PAUSE = 0.3  # seconds between two checks
OVEN_SECONDS = CHECKS * PAUSE  # what one meal takes


class Kitchen:
    def __init__(self, ovens: int, clock: Clock, events: EventStream) -> None:
        if not isinstance(ovens, int) or isinstance(ovens, bool):
            raise TypeError(f"ovens must be a whole number, not {ovens!r}")
        if ovens < 1:
            raise ValueError(f"ovens must be at least 1, not {ovens!r}: without an oven there is no pizza")
        self.ovens = ovens
        self.ovens_in_use = 0
        self._free = asyncio.Semaphore(ovens)  # wakes those who wait in the order in which they came
        self._clock = clock
        self._events = events

    @asynccontextmanager
    async def oven(self, order: Order, token: CancellationToken) -> AsyncIterator[None]:
        """Wait in line for an oven and have it for the block. An order that is cancelled leaves the line at once."""
        async with cancel_scope(token):
            await self._free.acquire()
        self.ovens_in_use += 1
        try:
            yield
        finally:
            self.ovens_in_use -= 1
            self._free.release()

    async def prepare_meal(self, order: Order, token: CancellationToken) -> None:
        """Cook it, in the oven one has. Stopped by `token`, the meal is not ready, and never will be."""
        self._say(order, "👨‍🍳 Preparing meal...")
        for check in range(1, CHECKS + 1):
            token.throw_if_cancellation_requested()
            self._events.publish(Step(order, self._clock.now, "kitchen", check, CHECKS, PAUSE * self._clock.pace))
            await self._clock.pause(PAUSE, token)
        self._say(order, "🍕 Meal ready!")

    def _say(self, order: Order, text: str) -> None:
        self._events.publish(Line(order, self._clock.now, line=text))
