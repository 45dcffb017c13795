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
        self._having_one: set[str] = set()  # orders
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free = asyncio.Semaphore(ovens)  # wakes those who wait in the order in which they came
        self._clock = clock
        self._events = events

    @property
    def ovens_in_use(self) -> int:
        return len(self._having_one)

    @asynccontextmanager
    async def oven(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> AsyncIterator[None]:
        """Wait in line for an oven and have it for the block. An order that is cancelled leaves the line at once.

        `pace`: of the meal to come. A kitchen elsewhere must know it when it is asked for the oven.
        """
        free, has_one = self._free_on_this_loop(), False
        try:
            async with cancel_scope(token):
                has_one = await free.acquire()
            self._having_one.add(order.id)
            yield
        finally:
            self._having_one.discard(order.id)
            if has_one:
                free.release()

    def _free_on_this_loop(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._having_one and self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("this pizzeria is at work on another event loop: make a Pizzeria for each")
            self._having_one.clear()  # what was left on an earlier loop is over
            self._loop, self._free = loop, asyncio.Semaphore(self.ovens)
        return self._free

    async def prepare_meal(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> None:
        """Cook it, in the oven one has. Stopped by `token`, the meal is not ready, and never will be."""
        clock = self._clock.at(pace)
        self._say(order, "👨‍🍳 Preparing meal...")
        for check in range(1, CHECKS + 1):
            token.throw_if_cancellation_requested()
            self._events.publish(Step(order, self._clock.now, "kitchen", check, CHECKS, PAUSE * clock.pace))
            await clock.pause(PAUSE, token)
        self._say(order, "🍕 Meal ready!")

    def _say(self, order: Order, text: str) -> None:
        self._events.publish(Line(order, self._clock.now, line=text))
